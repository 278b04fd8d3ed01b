"""Losses on the distance of two images, pixel by pixel."""

from jaxtyping import Float
from torch import Tensor

from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import in_float32, same_shape


def mean_squared_error(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``(p - t)^2`` with p = sigmoid(logits).

    Raises:
        ValueError: if the shapes differ.
    Source: Gauss; gradient 2 (p - t) p (1 - p) / pixels, which vanishes where p is surely wrong. Differs: nothing.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    return (logits.sigmoid() - target).square().mean()


def mean_absolute_error(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``|p - t|`` with p = sigmoid(logits).

    Raises:
        ValueError: if the shapes differ.
    Source: Laplace; gradient sign(p - t) p (1 - p) / pixels. Differs: nothing.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    return (logits.sigmoid() - target).abs().mean()


class MSELoss(ImageLoss):
    """Mean squared error of sigmoid(logits), see :func:`mean_squared_error`."""

    heads = ("binary",)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return mean_squared_error(logits, target)


class L1Loss(ImageLoss):
    """Mean absolute error of sigmoid(logits), see :func:`mean_absolute_error`."""

    heads = ("binary",)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return mean_absolute_error(logits, target)
