"""Fit a twin of a set-up to measured pairs: a forward model that simulates training pairs.

python scripts/fit_twin.py data=folder data.source.root=/lab/run7 out=twin.h5
Then train with preparation@data.preparation=spectra twin@data.twin=fitted data.twin.file=twin.h5.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def fit_twin(cfg: DictConfig) -> None:
    """Fit and write."""
    from spt.errors import InvalidValue
    from spt.run.building import build
    from spt.run.fit_twin import fit_twin_to

    if cfg.out is None:
        raise InvalidValue("set out=twin.h5, the file of the twin.")
    data = build(cfg.data)
    data.cache_folder = Path(cfg.cache).expanduser()
    files = fit_twin_to(data, Path(cfg.out).expanduser())
    print("Written: " + ", ".join(map(str, files)))


@hydra.main(version_base="1.3", config_path="../configs", config_name="fit_twin")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: fit_twin(cfg))


if __name__ == "__main__":
    enter(main)
