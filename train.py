"""Train a network on speckles: ``python train.py model=spt_unet loss=dice``."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from spt.run.command import guarded, say_what_came_out
from spt.run.continuing import continue_run, for_hydra, named_run
from spt.run.folder import RunFolder
from spt.run.quoting import enter
from spt.run.slurm import is_requeued


def train_new(cfg: DictConfig) -> float:
    """Train what the configuration describes; return the monitored value, by which sweeps compare."""
    hydra_config = HydraConfig.get()
    folder = RunFolder(Path(hydra_config.runtime.output_dir))
    if hydra_config.mode == RunMode.MULTIRUN or is_requeued():
        from spt.run.sweep_jobs import train_job

        return train_job(cfg, folder)
    from spt.run.train import train

    return train(cfg, folder)


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Enter from the command line."""
    hydra_config = HydraConfig.get()
    single = hydra_config.mode != RunMode.MULTIRUN
    new = RunFolder(Path(hydra_config.runtime.output_dir)) if single else None
    return guarded(lambda: train_new(cfg), new)


if __name__ == "__main__":
    if named_run(sys.argv[1:]):
        guarded(lambda: continue_run(sys.argv[1:]))
    else:
        sys.argv[1:] = for_hydra(sys.argv[1:])
        try:
            enter(main)
        finally:
            say_what_came_out()
