"""What every loss is: a module that knows its heads and looks at values when asked to."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImageLoss(nn.Module):
    """A loss of (logits, target): subclasses declare ``heads`` and write ``value``.

    Args:
        check: look at the values of every call too. It costs a synchronisation on a GPU; batches are checked when they
            are collated, so this is for hunting a fault.
    """

    heads: tuple[str, ...]

    def __init__(self, check: bool = False) -> None:
        super().__init__()
        self.check = check

    def forward(self, logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
        """Return the scalar loss.

        Args:
            logits: output of the network.
            target: of the logits' shape, in [0, 1]; for a softmax over classes also class indices (b, h, w), long.
        Raises:
            ValueError: if the shapes differ, or ``check`` finds a value that is not finite or out of range.
        """
        if self.check:
            check_values(logits, target)
        return self.value(logits, target)

    def value(self, logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
        """Return the scalar loss of checked values."""
        raise NotImplementedError


def check_values(logits: Float[Tensor, "b c h w"], target: Tensor) -> None:
    """Refuse logits that are not finite and targets outside [0, 1], or class indices outside the channels.

    Raises:
        ValueError: naming the first such value and its place.
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
        raise ValueError(f"{rule}, got {values[at].item()} at {at} and {int(wrong.sum())} such in all. {remedy}")
