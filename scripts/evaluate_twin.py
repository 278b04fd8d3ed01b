"""How well does a network that was trained with a twin see other objects, behind simulated diffusers of that twin?

python scripts/evaluate_twin.py run=outputs/2026-…
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def evaluate(cfg: DictConfig) -> None:
    """Simulate, score, print the table."""
    from spt.errors import InvalidValue
    from spt.run.building import build
    from spt.run.evaluate_twin import TwinRequest, evaluate_twin

    if not cfg.run:
        raise InvalidValue("run= is missing: python scripts/evaluate_twin.py run=<folder>.")
    objects = {str(name): build(node) for name, node in cfg.objects.items()}
    out = Path(cfg.out).expanduser() if cfg.out else None
    request = TwinRequest(Path(cfg.run), objects, list(cfg.binary), cfg.images, cfg.baseline_pairs, out, cfg.device)
    evaluate_twin(request).show()


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate_twin")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: evaluate(cfg))


if __name__ == "__main__":
    enter(main)
