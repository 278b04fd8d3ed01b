"""A trained network from its run folder."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import nn

from spt.config import build, check_targets
from spt.data.preparation import Preparation
from spt.evaluation.run_folder import RunFolder
from spt.heads import Head
from spt.training.initial import load_weights


@dataclass(frozen=True)
class Trained:
    """What a run folder holds, in evaluation mode on the CPU."""

    config: DictConfig
    folder: RunFolder
    model: nn.Module
    head: Head
    preparation: Preparation
    size: int


def open_trained(path: Path) -> Trained:
    """Rebuild the network of a run and load its best epoch.

    Args:
        path: the run folder.
    Raises:
        FileNotFoundError: if the folder is no run with a best epoch.
        ValueError: if its configuration is not trusted, or its weights do not fit.
    """
    folder = RunFolder(path)
    for needed in (folder.config, folder.best):
        if not needed.is_file():
            raise FileNotFoundError(f"run={path} is not a run with a trained network: {needed} is not there.")
    config = OmegaConf.load(folder.config)
    assert isinstance(config, DictConfig)
    check_targets(config)
    data = build(config.data)
    model: nn.Module = build(config.model)
    load_weights(model, folder.best)
    return Trained(config, folder, model.eval(), build(config.head), data.preparation, data.source.size)
