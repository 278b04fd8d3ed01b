"""Losses that judge the overlap of an image as a whole."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import check_activation, in_float32, is_softmax, probabilities, same_shape

NEVER_ZERO = 1e-20  # the least smoothing: an empty image against an empty target would be 0 / 0


def soft_dice(
    logits: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    smooth: float = 1e-6,
    per_image: bool = True,
    foreground_only: bool = False,
    activation: str = "auto",
) -> Float[Tensor, ""]:
    """One minus soft Dice, ``1 - 2 sum(p t) / sum(p + t)`` per image and channel, then the mean.

    The sums run over the pixels of one image, so the value does not depend on how images are batched.

    Args:
        logits: sigmoid channels or softmax classes.
        target: values in [0, 1], of the same shape.
        smooth: added to numerator and denominator, so that empty on empty costs 0.
        per_image: False sums over the pixels of the whole batch.
        foreground_only: of softmax classes only the first counts; sigmoid channels are foregrounds all.
        activation: ``auto``, ``sigmoid`` or ``softmax``.
    Raises:
        ValueError: if the shapes differ.
    Source: the notes, Soft Dice Loss. Differs: the channels are the classes, so one sigmoid channel is the
        foreground alone; the smoothing term.
    """
    overlap, total = _overlap_and_total(logits, target, per_image, foreground_only, activation)
    smooth = max(smooth, NEVER_ZERO)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def soft_iou(
    logits: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    smooth: float = 1e-6,
    per_image: bool = True,
    foreground_only: bool = False,
    activation: str = "auto",
) -> Float[Tensor, ""]:
    """One minus soft intersection over union, ``1 - sum(p t) / sum(p + t - p t)``; the rest as in :func:`soft_dice`.

    Source: the notes, Soft IoU Loss. Differs: as :func:`soft_dice`.
    """
    overlap, total = _overlap_and_total(logits, target, per_image, foreground_only, activation)
    smooth = max(smooth, NEVER_ZERO)
    return (1 - (overlap + smooth) / (total - overlap + smooth)).mean()


def _overlap_and_total(
    logits: Tensor, target: Tensor, per_image: bool, foreground_only: bool, activation: str
) -> tuple[Tensor, Tensor]:
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    p = probabilities(logits, activation)
    if foreground_only and is_softmax(logits, activation):
        p, target = p[:, :1], target[:, :1]
    pixels = (2, 3) if per_image else (0, 2, 3)
    overlap, lit = _Sums.apply(p, target, pixels)
    return overlap, lit + target.sum(pixels, keepdim=True)


class _Sums(Function):
    """``sum(p t)`` and ``sum(p)`` over pixels: together they cost the backward pass one image instead of two."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, t: Tensor, pixels: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(p, t)
        return (p * t).sum(pixels, keepdim=True), p.sum(pixels, keepdim=True)

    @staticmethod
    def backward(ctx: Any, to_overlap: Tensor, to_sum: Tensor) -> tuple[Tensor, Tensor | None, None]:
        p, t = ctx.saved_tensors
        return torch.addcmul(to_sum, to_overlap, t), to_overlap * p if ctx.needs_input_grad[1] else None, None


class OverlapLoss(ImageLoss):
    """What Dice and IoU loss hold.

    Args:
        smooth: smoothing term, in [0, 1e-6] pixels.
        per_image: False sums over the pixels of the whole batch, so that the value depends on how images are batched.
        foreground_only: leave the background of two softmax classes out; the notes average over both.
        activation: ``auto`` (one channel sigmoid, more softmax), ``sigmoid`` or ``softmax``.
        check: see :class:`ImageLoss`.
    Raises:
        ValueError: if ``smooth`` or ``activation`` lies outside.
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
            raise ValueError(f"smooth must lie in [0, 1e-6], got {smooth}: more would bias sparse targets.")
        self.smooth, self.per_image, self.foreground_only = smooth, per_image, foreground_only
        self.activation = check_activation(activation)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return type(self).formula(logits, target, self.smooth, self.per_image, self.foreground_only, self.activation)


class DiceLoss(OverlapLoss):
    """Soft Dice loss, see :func:`soft_dice` and, for its arguments, :class:`OverlapLoss`."""

    formula = staticmethod(soft_dice)


class IoULoss(OverlapLoss):
    """Soft intersection over union loss, see :func:`soft_iou` and, for its arguments, :class:`OverlapLoss`."""

    formula = staticmethod(soft_iou)
