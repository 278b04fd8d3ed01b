"""Losses that judge the overlap of an image as a whole."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from spt.losses.shapes import in_float32, probabilities, same_shape

NEVER_ZERO = 1e-20  # the least smoothing: an empty image against an empty target would be 0 / 0


def soft_dice(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], smooth: float = 1e-6
) -> Float[Tensor, ""]:
    """One minus soft Dice, ``1 - 2 sum(p t) / sum(p + t)`` per image and channel, then the mean.

    The sums run over the pixels of one image, so the value does not depend on how images are batched.

    Args:
        logits: one channel (sigmoid) or several (softmax).
        target: values in [0, 1], of the same shape.
        smooth: added to numerator and denominator, so that empty on empty costs 0.
    Raises:
        ValueError: if the shapes differ.
    Source: the notes, Soft Dice Loss. Differs: the channels are the classes, so one sigmoid channel is the
        foreground alone; the smoothing term.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    p = probabilities(logits)
    smooth = max(smooth, NEVER_ZERO)
    overlap = (p * target).sum((2, 3))
    total = (p + target).sum((2, 3))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


class DiceLoss(nn.Module):
    """Soft Dice loss, see :func:`soft_dice`.

    Args:
        smooth: smoothing term, in [0, 1e-6] pixels.
    Raises:
        ValueError: if ``smooth`` lies outside.
    """

    heads: ClassVar[tuple[str, ...]] = ("binary", "two_class")

    def __init__(self, smooth: float = 1e-6) -> None:
        super().__init__()
        if not 0 <= smooth <= 1e-6:
            raise ValueError(f"smooth must lie in [0, 1e-6], got {smooth}: more would bias sparse targets.")
        self.smooth = smooth

    def forward(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return soft_dice(logits, target, self.smooth)
