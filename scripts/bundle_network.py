"""Put a trained network into spt, so that ``spt.load(name)`` finds it: weights, configuration, scores, how it was made.

python scripts/bundle_network.py outputs/2026-… weak_scatter
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from spt.run.command import guarded

LARGEST = 2_000_000
"""Bytes of the weights at most."""

NEEDED = ("state_dict", "preparation", "fitted", "frame_size", "object_size", "appearance", "pairs")
"""What of a checkpoint a trained network needs; the optimizer's state is three times as large."""


def main() -> None:
    """Parse, copy, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder, finished")
    parser.add_argument("name", help="what spt.load calls it")
    arguments = parser.parse_args()
    guarded(lambda: bundle(arguments.run, arguments.name))


def bundle(run: Path, name: str) -> None:
    """Copy what is needed of a run; an earlier network of this name is replaced.

    Raises:
        UserError: if the run is not finished, cannot be loaded, or its weights are too large.
    """
    import torch

    from spt.errors import InvalidValue, MissingFile
    from spt.run.bundled import FOLDER
    from spt.run.folder import RunFolder
    from spt.run.trained import open_trained
    from spt.training.initial import read_checkpoint

    theirs, ours = RunFolder(run), RunFolder(FOLDER / name)
    if not theirs.metrics.is_file():
        raise MissingFile(f"{theirs.metrics} is not there. Only a finished run has scores.")
    open_trained(run)
    saved = {key: value for key, value in read_checkpoint(theirs.best).items() if key in NEEDED}
    if ours.path.exists():
        shutil.rmtree(ours.path)
    for path in (ours.config, ours.best):
        path.parent.mkdir(parents=True)
    torch.save(saved, ours.best)
    size = ours.best.stat().st_size
    if size > LARGEST:
        shutil.rmtree(ours.path)
        raise InvalidValue(f"{size / 1e6:.1f} MB of weights are more than {LARGEST / 1e6:.0f} MB. Use a smaller width.")
    shutil.copy(theirs.config, ours.config)
    shutil.copy(theirs.metrics, ours.metrics)
    (ours.path / "README.md").write_text(_page(name, theirs))
    print(f"{ours.path}: {size / 1e6:.2f} MB.")


def _page(name: str, run: Any) -> str:
    """Where the network comes from, and its scores."""
    from omegaconf import OmegaConf

    from spt.evaluation.headline import headline

    scores = json.loads(run.metrics.read_text())
    facts, baselines = scores.pop("run"), scores.pop("baselines")
    chosen = [text for text in map(str, OmegaConf.load(run.overrides)) if not text.startswith("hydra.")]
    return (
        f"# {name}\n\n{headline(scores, baselines)}\n\n```\npython train.py {' '.join(chosen)}\n```\n\n"
        f"{facts['network']}, {facts['parameters']:,} parameters. {facts['data']['preparation']}. Trained in "
        f"{facts['seconds'] / 60:.0f} min on {facts['device']}, {facts['precision']}. All scores: `metrics.json`.\n"
    )


if __name__ == "__main__":
    main()
