"""Write a simulated data set as one HDF5 file, which ``data=hdf5 data.source.path=file.h5`` reads.

python scripts/simulate.py data=weak_scatter out=weak.h5

Interrupted, the same command goes on where it stopped.
"""

import signal
from pathlib import Path
from types import FrameType

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import Interrupted, guarded
from spt.run.quoting import enter


def simulate(cfg: DictConfig) -> None:
    """Build the source and write its pairs.

    Raises:
        InvalidValue: if no file is named, or the data are not simulated.
    """
    from spt.data.hdf5_writer import write_set
    from spt.errors import InvalidValue
    from spt.run.building import build

    if cfg.out is None:
        raise InvalidValue("out= is missing: name the file to write, for example out=weak.h5.")
    simulation = build(cfg.data).source.simulation()
    path = Path(cfg.out).expanduser()
    write_set(path, simulation)
    pairs = ", ".join(f"{split} {count}" for split, count in simulation.counts.items())
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB. Pairs: {pairs}. Train on it: data=hdf5 data.source.path={path}")


def interrupt(number: int, frame: FrameType | None) -> None:
    """Leave on SIGINT and SIGTERM; what was finished is in the part file already."""
    raise Interrupted("Interrupted; the same command goes on where it stopped.", 128 + number)


@hydra.main(version_base="1.3", config_path="../configs", config_name="simulate")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    guarded(lambda: simulate(cfg))


if __name__ == "__main__":
    enter(main)
