"""Read every image of a set once; name bad files, and say what is wrong with the set.

python scripts/check_data.py data=folder data.source.root=/lab/run7 out=bad.txt manifest=pairs.csv preview=pairs.png
python scripts/check_data.py frames=folder_or_file                            frames without objects
"""

import sys

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def check_data(cfg: DictConfig) -> int:
    """Check the set; the exit code says whether anything is bad."""
    from spt.data.files import FileSettings
    from spt.evaluation.data_check.check import Wanted, check_frames, check_pairs
    from spt.run.building import build

    wanted = Wanted(cfg.saturated, cfg.manifest, cfg.out, cfg.preview)
    if cfg.frames is not None:
        values = {str(name): value for name, value in cfg.files.items()}
        return int(check_frames(cfg.frames, FileSettings(**values, prefix="files."), wanted))
    data = build(cfg.data)
    return int(check_pairs(data.source, data.preparation, wanted))


@hydra.main(version_base="1.3", config_path="../configs", config_name="check_data")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    if code := guarded(lambda: check_data(cfg)):
        sys.exit(code)


if __name__ == "__main__":
    enter(main)
