"""Train a network on speckles: ``python train.py model=spt_unet loss=dice``."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from spt.run.command import guarded
from spt.run.continuing import continue_run, for_hydra, named_run
from spt.run.folder import RunFolder
from spt.run.quoting import enter


def train_new(cfg: DictConfig) -> float:
    """Train what the configuration describes; return the monitored value, by which sweeps compare."""
    from spt.run.train import train

    return train(cfg, RunFolder(Path(HydraConfig.get().runtime.output_dir)))


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Enter from the command line."""
    return guarded(lambda: train_new(cfg))


if __name__ == "__main__":
    if named_run(sys.argv[1:]):
        guarded(lambda: continue_run(sys.argv[1:]))
    else:
        sys.argv[1:] = for_hydra(sys.argv[1:])
        enter(main)
