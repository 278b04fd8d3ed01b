"""Does a small classifier read the reconstructions of a run as it reads their objects? For digits, or any classes.

SPT_DATA=/folder python scripts/read_objects.py run=outputs/2026-…
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def read(cfg: DictConfig) -> None:
    """Train the classifier, read, say what was read."""
    from spt.errors import InvalidValue
    from spt.run.building import build
    from spt.run.read_objects import read_objects

    if not cfg.run:
        raise InvalidValue("run= is missing: python scripts/read_objects.py run=<folder>.")
    out = Path(cfg.out).expanduser() if cfg.out else None
    reading = read_objects(Path(cfg.run), build(cfg.objects), cfg.images, cfg.seed, out, cfg.device, cfg.refine)
    print("\n".join(reading.sentences()))
    print(f"Numbers: {reading.out}")


@hydra.main(version_base="1.3", config_path="../configs", config_name="read_objects")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: read(cfg))


if __name__ == "__main__":
    enter(main)
