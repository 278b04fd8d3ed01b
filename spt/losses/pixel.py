"""Losses that compare every pixel by itself: the formulas of :mod:`spt.losses.functional` with their settings."""

from jaxtyping import Float, Int
from torch import Tensor

from spt.errors import InvalidValue
from spt.losses.functional import (
    binary_cross_entropy,
    cross_entropy,
    focal,
    mean_absolute_error,
    mean_squared_error,
    weighted_binary_cross_entropy,
)
from spt.losses.image_loss import ImageLoss
from spt.losses.inputs import check_activation


class BCELoss(ImageLoss):
    """Binary cross-entropy of sigmoid(logits), see :func:`binary_cross_entropy`."""

    heads = ("binary",)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return binary_cross_entropy(logits, target)


class WeightedBCELoss(ImageLoss):
    """Binary cross-entropy with weighted positives, see :func:`weighted_binary_cross_entropy`.

    Args:
        pos_weight: finite and not negative, or None for negatives / positives of the batch.
        check: see :class:`ImageLoss`.
    Raises:
        InvalidValue: if ``pos_weight`` lies outside.
    """

    heads = ("binary",)

    def __init__(self, pos_weight: float | None = None, check: bool = False) -> None:
        super().__init__(check)
        if pos_weight is not None and not 0 <= pos_weight < float("inf"):
            raise InvalidValue(f"pos_weight must be finite and not negative, or null, got {pos_weight}.")
        self.pos_weight = pos_weight

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return weighted_binary_cross_entropy(logits, target, self.pos_weight)


class CELoss(ImageLoss):
    """Cross-entropy of softmax(logits), see :func:`cross_entropy`.

    With the two_class head it equals binary cross-entropy averaged over both softmax channels, the loss of the deep
    speckle correlation network.
    """

    heads = ("two_class", "grey_levels")

    def value(
        self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return cross_entropy(logits, target)


class FocalLoss(ImageLoss):
    """Focal loss, see :func:`focal`.

    Args:
        alpha: weight of the foreground, in [0, 1], or None; without effect for more than two softmax classes.
        gamma: 0 or more.
        activation: ``auto`` (one channel sigmoid, more softmax), ``sigmoid`` or ``softmax``.
        check: see :class:`ImageLoss`.
    Raises:
        InvalidValue: if a value lies outside.
    """

    heads = ("binary", "two_class", "grey_levels", "multi_label")

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, activation: str = "auto", check: bool = False
    ) -> None:
        super().__init__(check)
        if alpha is not None and not 0 <= alpha <= 1:
            raise InvalidValue(f"alpha must lie in [0, 1] or be null, got {alpha}.")
        if not 0 <= gamma < float("inf"):
            raise InvalidValue(f"gamma must be 0 or more and finite, got {gamma}.")
        self.alpha, self.gamma = alpha, gamma
        self.activation: str = check_activation(activation)

    def value(
        self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return focal(logits, target, self.alpha, self.gamma, self.activation)


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
