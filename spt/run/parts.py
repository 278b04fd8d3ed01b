"""The parts of a run, built from its configuration; what does not fit is refused before any data are made."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spt.data.datamodule import SpeckleDataModule
from spt.data.twin import check_twin
from spt.errors import InvalidValue
from spt.heads import Head
from spt.losses import check_head, minimum_size
from spt.metrics.image import SSIM_WINDOW
from spt.optics.twin import open_twin
from spt.run.building import build, refusals
from spt.run.sizes import check_sizes
from spt.training.initial import load_weights, set_output_prior, share_of_light
from spt.training.schedules import parameter_groups


@dataclass(frozen=True)
class Parts:
    """What a network is trained with; everything fits together, and no data were read."""

    head: Head
    model: nn.Module
    loss: nn.Module
    data: SpeckleDataModule
    optimizer: Callable[[list[dict[str, Any]]], Optimizer]
    scheduler: Callable[[Optimizer, int], LRScheduler]


def build_parts(config: DictConfig, new: bool = True) -> Parts:
    """Build and check every part.

    Args:
        config: the composed configuration.
        new: whether the network starts from ``weights`` and ``output_prior``, as a run does that is not continued.
    Raises:
        UserError: naming the first setting that does not work.
    """
    head: Head = build(config.head)
    model: nn.Module = build(config.model)
    data: SpeckleDataModule = build(config.data)
    data.cache_folder = Path(config.cache).expanduser()
    loss: nn.Module = build(config.loss)
    check_sizes(copy.deepcopy(model).eval(), data)
    if data.twin is not None:
        check_twin(data.preparation, data.object_size)
        if new and data.twin.file is not None:  # a run that goes on has a twin of its own
            open_twin(Path(data.twin.file).expanduser())
    check_model(model, data.input_shape, head.channels, data.batch_size)
    check_loss(loss, head, data.object_size)
    if new and config.weights:
        load_weights(model, Path(config.weights).expanduser(), data.preparation)
    if new and config.output_prior not in (None, "data"):
        set_output_prior(model, head, share_of_light(config.output_prior))
    parts = Parts(head, model, loss, data, build(config.optimizer), build(config.scheduler))
    check_schedule(parts)
    return parts


def check_model(model: nn.Module, shape: tuple[int, int, int], channels: int, batch_size: int = 2) -> None:
    """Run the network once on empty images: a size that it does not take is refused before any data are made.

    A batch of one is tried in training mode too, where a BatchNorm needs more than one value a channel.

    Raises:
        InvalidValue: if its logits have another shape than the head expects. What the network itself raises is left
            as it is.
    """
    copied = copy.deepcopy(model)  # a pass in training mode changes BatchNorm's statistics
    image, wanted = torch.zeros(1, *shape), (1, channels, *shape[1:])
    with torch.no_grad():
        logits = copied.eval()(image)
        if batch_size == 1:
            copied.train()(image)
    if logits.shape != wanted:
        raise InvalidValue(
            f"the network maps {tuple(image.shape)} to {tuple(logits.shape)}, but the head expects {wanted}. Set "
            "model.out_channels=${head.channels}."
        )


def check_loss(loss: nn.Module, head: Head, size: tuple[int, int]) -> None:
    """Refuse a loss that reads the channels in another way than the head, or needs larger images.

    Raises:
        InvalidValue: naming the heads or the size that work.
    """
    check_head(loss, head)
    needed = max(minimum_size(loss), SSIM_WINDOW)
    if min(size) < needed:
        raise InvalidValue(
            f"images of {size[0]}x{size[1]} px are smaller than the window of SSIM. Use {needed} px or more."
        )


def check_schedule(parts: Parts) -> None:
    """Build optimizer and scheduler once, for ten steps.

    Raises:
        InvalidValue: if torch refuses a value of theirs, or the learning rate is 0.
    """
    try:
        optimizer = parts.optimizer(parameter_groups(parts.model))
        rate = optimizer.param_groups[0]["lr"]
        parts.scheduler(optimizer, 10)
    except refusals() as error:
        raise InvalidValue(f"optimizer or scheduler: {error}") from error
    if rate == 0:
        raise InvalidValue("optimizer.lr=0 trains nothing. Use more than 0.")
