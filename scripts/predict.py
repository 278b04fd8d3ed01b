"""Reconstruct the objects behind new speckles with a trained network.

python scripts/predict.py run=outputs/2026-… input=frames/ out=images/
python scripts/predict.py run=outputs/2026-… input=day2.mat:speckle out=images/ format=tiff
"""

import sys

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def predict(cfg: DictConfig) -> int:
    """Predict every file; the exit code says whether some were bad."""
    from spt.data.files import FileSettings
    from spt.run.predict import Request, predict_files

    files = FileSettings(axes=cfg.axes, colour=cfg.colour, prefix="")
    settings = (cfg.format, cfg.average, cfg.batch_size, cfg.device, cfg.tile, cfg.refine, cfg.orientations)
    request = Request(cfg.run, cfg.input, cfg.out, *settings, files)
    done = predict_files(request)
    for line in done.unusual:
        print(f"Unusual: {line}", file=sys.stderr)
    found = f"{done.images} images of {done.files} files are in {cfg.out}." if done.images else "No image was written."
    print(found)
    for line in done.bad:
        print(f"Not predicted: {line}", file=sys.stderr)
    return 1 if done.bad else 0


@hydra.main(version_base="1.3", config_path="../configs", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    if code := guarded(lambda: predict(cfg)):
        sys.exit(code)


if __name__ == "__main__":
    enter(main)
