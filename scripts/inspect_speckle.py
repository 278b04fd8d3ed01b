"""Speckle statistics of a data set, simulated or real: a table, a figure, and what is suspicious in words.

python scripts/inspect_speckle.py                                             the default simulated set
python scripts/inspect_speckle.py data=real_220grit split=all data@against=like_220grit
python scripts/inspect_speckle.py frames=folder_or_file pitch=6.5e-6          frames without objects
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def inspect_speckle(cfg: DictConfig) -> None:
    """Measure every diffuser of the set, and of the set to compare with.

    Raises:
        InvalidValue: if ``limit`` or ``pitch`` is out of range.
    """
    from spt.data.files import FileSettings
    from spt.data.frames import read_frames
    from spt.errors import InvalidValue
    from spt.evaluation.speckle.frame_statistics import Frames, by_diffuser, one_split
    from spt.evaluation.speckle.inspection import report
    from spt.run.building import build

    if cfg.limit < 1 or (cfg.pitch is not None and not cfg.pitch > 0):
        raise InvalidValue(f"limit must be at least 1 and pitch positive [m], got {cfg.limit} and {cfg.pitch}.")

    def groups(node: DictConfig, label: str) -> list[Frames]:
        splits = build(node).source.load()
        return by_diffuser(one_split(splits, cfg.split), cfg.limit, f"{label}, ")

    choices = HydraConfig.get().runtime.choices
    if cfg.frames is None:
        sets = [groups(cfg.data, choices["data"])]
    else:
        values = {str(name): value for name, value in cfg.files.items()}
        settings = FileSettings(**values, prefix="files.")
        sets = [[Frames(Path(cfg.frames).name, read_frames(cfg.frames, cfg.limit, settings))]]
    if cfg.against is not None:
        sets.append(groups(cfg.against, choices["data@against"]))
    report(sets, build(cfg.limits), Path(cfg.out), cfg.pitch)


@hydra.main(version_base="1.3", config_path="../configs", config_name="inspect_speckle")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: inspect_speckle(cfg))


if __name__ == "__main__":
    enter(main)
