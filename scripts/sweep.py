"""Look for good settings with Optuna: one training a trial, weak ones are stopped early.

python scripts/sweep.py sweep=loss_and_lr trials=20
The same command goes on with a search that was stopped. Several processes may run it at once.
"""

from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

import spt  # noqa: F401  registers the typed root
from spt.run.command import guarded
from spt.run.quoting import enter


def sweep(cfg: DictConfig) -> None:
    """Search, then say which settings were best."""
    import importlib.util

    from spt.errors import InvalidValue

    if importlib.util.find_spec("optuna") is None:
        raise InvalidValue("scripts/sweep.py needs Optuna: pip install 'spt[sweep]'.")
    if cfg.sweep is None:
        raise InvalidValue("sweep= is missing. Choose a file of configs/sweep: sweep=loss_and_lr or spt_unet_width.")
    from hydra.utils import instantiate

    from spt.run.search import Search, search
    from spt.run.search_results import write_results

    folder = Path(cfg.folder or f"sweeps/{HydraConfig.get().runtime.choices['sweep']}").expanduser()
    chosen: Any = OmegaConf.to_object(cfg.sweep)
    base = [*chosen.get("base", []), *map(str, cfg.overrides)]
    pruner = None if cfg.pruner is None else instantiate(cfg.pruner)
    study = search(Search(folder, base, chosen.get("space", {}), cfg.trials, cfg.seed, pruner))
    print(write_results(study, folder))
    print(f"Trials, figures and trained networks: {folder}. Dashboard: optuna-dashboard sqlite:///{folder}/study.db")


@hydra.main(version_base="1.3", config_path="../configs", config_name="sweep")
def main(cfg: DictConfig) -> None:
    """Enter from the command line."""
    guarded(lambda: sweep(cfg))


if __name__ == "__main__":
    enter(main)
