"""A trained network from its run folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from spt.data.preparation import Preparation
from spt.errors import MissingFile
from spt.heads import Head
from spt.run.building import build
from spt.run.folder import RunFolder
from spt.run.trust import trusted
from spt.training.initial import load_weights


@dataclass(frozen=True)
class Trained:
    """What a run folder holds, in evaluation mode on the CPU; the data that it was trained on are not needed."""

    config: DictConfig
    folder: RunFolder
    model: nn.Module
    head: Head
    preparation: Preparation
    frame_size: tuple[int, int]
    object_size: tuple[int, int]


def open_trained(path: Path) -> Trained:
    """Rebuild the network of a run and load its best epoch.

    Args:
        path: the run folder.
    Raises:
        MissingFile: if the folder is no run with a best epoch.
        InvalidValue: if its configuration is not trusted, or its weights do not fit.
    """
    folder = RunFolder(path.expanduser())
    for needed in (folder.config, folder.best):
        if not needed.is_file():
            raise MissingFile(f"run={path} is not a run with a trained network: {needed} is not there.")
    config = OmegaConf.load(folder.config)
    assert isinstance(config, DictConfig)
    config = trusted(config)
    model: nn.Module = build(config.model)
    saved = load_weights(model, folder.best)
    preparation = build(config.data.preparation)
    preparation.load_fitted(saved.get("fitted", {}))
    frame, objects = (_size(saved, name) for name in ("frame_size", "object_size"))
    return Trained(config, folder, model.eval(), build(config.head), preparation, frame, objects)


def _size(saved: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Height and width; before version 0.3 a checkpoint held the side of squares."""
    height, width = saved[name] if name in saved else [saved["size"]] * 2
    return int(height), int(width)
