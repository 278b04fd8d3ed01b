"""What every formula does first: compare shapes, promote the precision, turn logits into probabilities."""

from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.precision import at_least_float32
from spt.shapes import same_shape

ACTIVATIONS = ("auto", "sigmoid", "softmax")


def checked(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Return both in at least float32.

    Raises:
        ValueError: if the shapes differ.
    """
    same_shape(logits, target, "logits")
    return at_least_float32(logits), at_least_float32(target)


def check_activation(activation: str) -> str:
    """Return ``activation``.

    Raises:
        InvalidValue: if it is none of auto, sigmoid, softmax.
    """
    if activation not in ACTIVATIONS:
        raise InvalidValue(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation}.")
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
