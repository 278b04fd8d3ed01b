"""What every loss of the project is: a module that knows its heads and looks at values when asked to."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.heads import Head


class ImageLoss(nn.Module):
    """A loss of (logits, target): subclasses write ``value`` and declare what they need.

    Args:
        check: look at the values of every call too. It costs a synchronisation on a GPU; batches are checked when they
            are collated, so this is for hunting a fault.
    """

    heads: tuple[str, ...] | None = None
    """Names of the heads that the loss goes with; None goes with every head."""
    activation: str | None = None
    """How the loss reads the logits: ``sigmoid``, ``softmax``, ``auto``; None where the head leaves no choice."""
    minimum_size: ClassVar[int] = 1
    """Least height and width of the images in pixels."""

    def __init__(self, check: bool = False) -> None:
        super().__init__()
        self.check = check

    def check_head(self, head: Head) -> None:
        """Refuse a head whose channels this loss cannot read.

        Raises:
            InvalidValue: naming the heads that work, or the activation to set.
        """
        name = type(self).__name__
        if self.heads == ():
            raise InvalidValue(f"the losses of this {name} have no head in common. Choose other losses.")
        if self.heads is not None and not {head.name, head.like} & set(self.heads):
            raise InvalidValue(
                f"{name} does not go with head={head.name}; it goes with head={' or head='.join(self.heads)}."
            )
        reads = self.activation
        if reads == "auto":
            reads = "sigmoid" if head.channels == 1 else "softmax"
        if reads is not None and reads != head.activation:
            raise InvalidValue(
                f"{name} would read the logits by {reads}, head={head.name} by {head.activation}. "
                "Write activation: ${head.activation} in the loss."
            )

    def forward(self, logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
        """Return the scalar loss.

        Args:
            logits: output of the network.
            target: of the logits' shape, in [0, 1]; for a softmax over classes also class indices (b, h, w), long.
        Raises:
            ValueError: if the shapes differ.
            InvalidValue: if ``check`` finds a value that is not finite or out of range.
        """
        if self.check:
            check_values(logits, target)
        return self.value(logits, target)

    def value(self, logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
        """Return the scalar loss of checked values."""
        raise NotImplementedError


def check_head(loss: nn.Module, head: Head) -> None:
    """Refuse a loss that reads the channels in another way than the head; any part of it may object.

    Args:
        loss: a loss of the project, or any module of (logits, target). A module that is no :class:`ImageLoss` declares
            nothing and is trusted.
        head: what the channels mean.
    Raises:
        InvalidValue: see :meth:`ImageLoss.check_head`.
    """
    for part in _parts(loss):
        part.check_head(head)


def minimum_size(loss: nn.Module) -> int:
    """Least height and width in pixels that every part of the loss can take."""
    return max((part.minimum_size for part in _parts(loss)), default=1)


def _parts(loss: nn.Module) -> list[ImageLoss]:
    return [part for part in loss.modules() if isinstance(part, ImageLoss)]


def check_values(logits: Float[Tensor, "b c h w"], target: Tensor) -> None:
    """Refuse logits that are not finite and targets outside [0, 1], or class indices outside the channels.

    Raises:
        InvalidValue: naming the first such value and its place.
    """
    _refuse(~logits.isfinite(), logits, "logits must be finite", "Lower optimizer.lr or set trainer.precision=32-true.")
    if target.is_floating_point():
        outside = ~((target >= 0) & (target <= 1))  # NaN too
        _refuse(outside, target, "target must lie in [0, 1]", "Scale the images.")
    else:
        classes = logits.shape[1]
        outside = (target < 0) | (target >= classes)
        _refuse(outside, target, f"class indices must lie in 0..{classes - 1}", "Set head.channels.")


def _refuse(wrong: Tensor, values: Tensor, rule: str, remedy: str) -> None:
    if wrong.any():
        at = tuple(torch.nonzero(wrong)[0].tolist())
        raise InvalidValue(f"{rule}, got {values[at].item()} at {at} and {int(wrong.sum())} such in all. {remedy}")
