"""What a network knows before the first step: weights of a checkpoint, the prior in its last bias."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spt.data.preparation import Preparation
from spt.data.settings import flatten
from spt.errors import InvalidValue, MissingFile
from spt.heads import Head

PREFIX = "model."
"""What a checkpoint's state_dict puts before the network's own names."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values; pickled objects in it are refused, never run.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is no checkpoint.
    """
    if not path.is_file():
        raise MissingFile(f"{path}: no such file.")
    try:
        with zipfile.ZipFile(path) as parts:  # torch does not look at the checksums that it wrote
            broken = parts.testzip()
        if broken is not None:
            raise InvalidValue(f"{path} is damaged: the checksum of {broken} is wrong. Restore the file.")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not all(isinstance(name, str) for name, _ in saved["state_dict"].items()):
            raise TypeError("names of weights are text")
        return saved
    except (zipfile.BadZipFile, EOFError) as error:
        raise InvalidValue(f"{path} is no checkpoint of spt, or only a part of one. Restore the file.") from error
    except (pickle.UnpicklingError, LookupError, RuntimeError, OSError, TypeError, AttributeError) as error:
        raise InvalidValue(f"{path} is no checkpoint of spt ({type(error).__name__}).") from error


def load_weights(model: nn.Module, path: Path, preparation: Preparation | None = None) -> dict[str, Any]:
    """Load the network of a checkpoint, strictly.

    Args:
        model: changed in place.
        path: a checkpoint of a run, or one that a converter wrote: ``{"state_dict": {"model.<name>": tensor}}``.
        preparation: of the speckles that the network will see; None where the checkpoint's own is used.
    Returns:
        The whole checkpoint.
    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is no checkpoint, holds another network, or was trained on frames prepared otherwise.
    """
    saved = read_checkpoint(path)
    state = {k.removeprefix(PREFIX): v for k, v in saved["state_dict"].items() if k.startswith(PREFIX)}
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = [line.strip() for line in str(error).splitlines()[1:3]]
        raise InvalidValue(
            f"{path} does not hold the weights of this {type(model).__name__}: {' '.join(first)[:300]} "
            "Choose the model=… and its values that the file was made with."
        ) from error
    if preparation is not None and "preparation" in saved:
        theirs, ours = (dict(flatten(each)) for each in (saved["preparation"], preparation.settings()))
        other = {name: value for name, value in theirs.items() if value != ours.get(name) and "target." not in name}
        if other:
            settings = " ".join(f"data.preparation.{name}={value}" for name, value in other.items())
            raise InvalidValue(f"{path} was trained on frames that were prepared otherwise. Set {settings}.")
    return saved


def set_output_prior(model: nn.Module, head: Head, share: float) -> None:
    """Let the last convolution's bias start at the logits of an image that has the value ``share`` everywhere.

    Where few pixels are lit, the first steps are then not spent on learning that most are dark.

    Args:
        model: changed in place; its last convolution has the head's channels and a bias.
        head: says what the channels mean.
        share: mean of the targets, in (0, 1).
    Raises:
        ValueError: if ``share`` is out of range, or the last convolution does not fit.
    Source: Lin et al., Focal Loss (2017), section 4.1. Differs: the share is measured or given, not 0.01.
    """
    if not 0 < share < 1:
        raise InvalidValue(f"output_prior must lie between 0 and 1, got {share}.")
    last = [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1:]
    if not last or last[0].bias is None or last[0].out_channels != head.channels:
        raise InvalidValue(
            f"output_prior needs a network whose last convolution has {head.channels} channel(s) and a bias; "
            f"{type(model).__name__} has not. Set output_prior=null."
        )
    with torch.no_grad():
        last[0].bias.copy_(head.prior_logits(share))


def share_of_light(value: float | str) -> float:
    """Read ``output_prior`` as a number.

    Raises:
        InvalidValue: if it is none.
    """
    try:
        return float(value)
    except ValueError:
        raise InvalidValue(f"output_prior must be a number between 0 and 1, `data` or null, got {value!r}.") from None
