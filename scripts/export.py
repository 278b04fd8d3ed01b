"""Write a trained network as one file for other programs: measured speckle in, image in [0, 1] out.

python scripts/export.py run=outputs/2026-… format=onnx
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig, ListConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def export_run(cfg: DictConfig) -> None:
    """Rebuild the run's network, export it, check the file.

    Raises:
        InvalidValue: if no run is named, or the size is neither a side nor [height, width].
    """
    from spt.errors import InvalidValue
    from spt.run.bundled import refuse_bundled
    from spt.run.export import SUFFIXES, Reconstruction, export
    from spt.run.trained import open_trained

    if cfg.run is None:
        raise InvalidValue("run= is missing: name a run folder, for example run=outputs/2026-11-25/04-32-22_….")
    trained = open_trained(Path(cfg.run))
    if not cfg.out:
        refuse_bundled(trained.folder.path)
    size = list(trained.frame_size) if cfg.size is None else cfg.size
    sides = tuple(size) if isinstance(size, list | ListConfig) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InvalidValue(f"size must be a side in px or [height, width], got {size}.")
    name = f"{sides[0]}x{sides[1]}{SUFFIXES.get(cfg.format, '')}"
    path = Path(cfg.out) if cfg.out else trained.folder.path / "export" / name
    reconstruction = Reconstruction(trained.model, trained.head, trained.preparation, trained.object_size).eval()
    difference = export(reconstruction, sides, path, cfg.format)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, input speckle (batch, 1, {sides[0]}, {sides[1]}), float32.")
    print(f"Greatest difference from PyTorch at batches 1 and 3: {difference:.1e}.")


@hydra.main(version_base="1.3", config_path="../configs", config_name="export")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: export_run(cfg))


if __name__ == "__main__":
    enter(main)
