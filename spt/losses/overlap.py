"""Losses on the overlap of an image with its target."""

from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.losses.functional_image import soft_dice, soft_iou
from spt.losses.image_loss import ImageLoss
from spt.losses.inputs import check_activation


class OverlapLoss(ImageLoss):
    """The settings of Dice and IoU loss.

    Args:
        smooth: smoothing term, in [0, 1e-6] pixels.
        per_image: False sums over the pixels of the whole batch, so that the value depends on how images are batched.
        foreground_only: leave the background of two softmax classes out; the notes average over both.
        activation: ``auto`` (one channel sigmoid, more softmax), ``sigmoid`` or ``softmax``.
        check: see :class:`ImageLoss`.
    Raises:
        InvalidValue: if ``smooth`` or ``activation`` lies outside.
    """

    heads = ("binary", "two_class", "multi_label")
    formula: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        smooth: float = 1e-6,
        per_image: bool = True,
        foreground_only: bool = False,
        activation: str = "auto",
        check: bool = False,
    ) -> None:
        super().__init__(check)
        if not 0 <= smooth <= 1e-6:
            raise InvalidValue(f"smooth must lie in [0, 1e-6], got {smooth}: more would bias sparse targets.")
        self.smooth, self.per_image, self.foreground_only = smooth, per_image, foreground_only
        self.activation: str = check_activation(activation)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return type(self).formula(logits, target, self.smooth, self.per_image, self.foreground_only, self.activation)


class DiceLoss(OverlapLoss):
    """Soft Dice loss, see :func:`soft_dice` and, for its arguments, :class:`OverlapLoss`."""

    formula = staticmethod(soft_dice)


class IoULoss(OverlapLoss):
    """Soft intersection over union loss, see :func:`soft_iou` and, for its arguments, :class:`OverlapLoss`."""

    formula = staticmethod(soft_iou)
