"""Train a network on speckles: ``python train.py model=spt_unet loss=dice``."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from spt.command import guarded
from spt.config import open_run


def run(cfg: DictConfig) -> float:
    """Train what the configuration describes and return the monitored value."""
    from spt.training.run import train

    state = HydraConfig.get()
    opened = open_run(cfg, state.runtime.output_dir, list(state.overrides.task))
    return train(opened.config, opened.folder, opened.resume)


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Enter from the command line."""
    return guarded(lambda: run(cfg))


if __name__ == "__main__":
    main()
