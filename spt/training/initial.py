"""What a network knows before the first step: weights of a checkpoint, the prior in its last bias."""

import pickle
from pathlib import Path

import torch
from torch import nn

from spt.heads import Head

PREFIX = "model."
"""What a checkpoint's state_dict puts before the network's own names."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the network of a checkpoint, strictly.

    Args:
        model: changed in place.
        path: a checkpoint of a run, or one that a converter wrote: ``{"state_dict": {"model.<name>": tensor}}``.
    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, or holds another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights={path}: no such file.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state = {k.removeprefix(PREFIX): v for k, v in saved["state_dict"].items() if k.startswith(PREFIX)}
    except (pickle.UnpicklingError, EOFError, LookupError, RuntimeError, OSError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no checkpoint of spt ({type(error).__name__}).") from error
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = [line.strip() for line in str(error).splitlines()[1:3]]
        raise ValueError(
            f"{path} does not hold the weights of this {type(model).__name__}: {' '.join(first)[:300]} "
            "Choose the model=… and its values that the file was made with."
        ) from error


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
        raise ValueError(f"output_prior must lie between 0 and 1, got {share}.")
    last = [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1:]
    if not last or last[0].bias is None or last[0].out_channels != head.channels:
        raise ValueError(
            f"output_prior needs a network whose last convolution has {head.channels} channel(s) and a bias; "
            f"{type(model).__name__} has not. Set output_prior=null."
        )
    with torch.no_grad():
        last[0].bias.copy_(head.prior_logits(share))
