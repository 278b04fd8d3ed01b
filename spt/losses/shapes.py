"""What every loss does first: shapes are checked, reductions run in at least float32, logits become probabilities."""

import torch
from jaxtyping import Float
from torch import Tensor

from spt import shapes

ACTIVATIONS = ("auto", "sigmoid", "softmax")


def same_shape(logits: Tensor, target: Tensor) -> None:
    """Refuse logits and target of different shapes, see :func:`spt.shapes.same_shape`."""
    shapes.same_shape(logits, target, "logits")


def in_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Promote to at least float32: in half precision the sums over 65,536 pixels overflow or lose the small terms."""
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)


def check_activation(activation: str) -> str:
    """Return ``activation``.

    Raises:
        ValueError: if it is none of auto, sigmoid, softmax.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation}.")
    return activation


def is_softmax(logits: Float[Tensor, "b c h w"], activation: str) -> bool:
    """Whether the channels share one softmax; ``auto`` takes one channel for a sigmoid and more for a softmax.

    Raises:
        ValueError: if one channel is to be a softmax: it would be 1 everywhere.
    """
    one = logits.shape[1] == 1
    if one and activation == "softmax":
        raise ValueError("a softmax needs two or more channels, got 1. Choose head=two_class, or activation=sigmoid.")
    return activation == "softmax" or (activation == "auto" and not one)


def probabilities(logits: Float[Tensor, "b c h w"], activation: str = "auto") -> Float[Tensor, "b c h w"]:
    """Sigmoid of every channel, or softmax over the channels, see :func:`is_softmax`."""
    return logits.softmax(dim=1) if is_softmax(logits, activation) else logits.sigmoid()
