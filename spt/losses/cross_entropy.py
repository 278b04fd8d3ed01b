"""Losses that judge every pixel for itself."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import in_float32, same_shape


def binary_cross_entropy(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-t log p - (1 - t) log(1 - p)`` with p = sigmoid(logits); grey targets allowed.

    Raises:
        ValueError: if the shapes differ.
    Source: the notes, 交叉熵损失; gradient (p - t) / pixels. Differs: nothing.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    return F.binary_cross_entropy_with_logits(logits, target)


def weighted_binary_cross_entropy(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], pos_weight: float | None = None
) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-w t log p - (1 - t) log(1 - p)`` with p = sigmoid(logits); grey targets allowed.

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1], of the same shape.
        pos_weight: w; None takes negatives / positives of the batch, sum(1 - t) / sum(t), so that both weigh the same.
            A batch without positives is then plain BCE; one without negatives costs nothing.
    Raises:
        ValueError: if the shapes differ.
    Source: the notes, Weighted Loss; gradient ((1 - t) p - w t (1 - p)) / pixels. Differs: the notes' text says that
        positives are suppressed; w > 1 amplifies them.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    weight = _negatives_over_positives(target) if pos_weight is None else target.new_tensor(pos_weight)
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)


def _negatives_over_positives(target: Tensor) -> Tensor:
    return (1 - target).sum() / target.sum().clamp(min=1e-6)  # without positives it multiplies nothing


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
        ValueError: if ``pos_weight`` lies outside.
    """

    heads = ("binary",)

    def __init__(self, pos_weight: float | None = None, check: bool = False) -> None:
        super().__init__(check)
        if pos_weight is not None and not 0 <= pos_weight < float("inf"):
            raise ValueError(f"pos_weight must be finite and not negative, or null, got {pos_weight}.")
        self.pos_weight = pos_weight

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return weighted_binary_cross_entropy(logits, target, self.pos_weight)


def cross_entropy(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-sum_c t_c log p_c`` with p = softmax(logits) over the channels.

    Args:
        logits: two or more channels.
        target: probabilities of the classes, of the same shape, or class indices (b, h, w).
    Raises:
        ValueError: if there is one channel, or the shapes do not fit.
    Source: the notes, 交叉熵损失; gradient (p_c - t_c) / pixels. Differs: the notes print p_c - 1, which is the entry
        of the true class alone.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"cross-entropy needs two or more channels, got {logits.shape[1]}. Choose head=two_class.")
    if target.is_floating_point():
        same_shape(logits, target)
        logits, target = in_float32(logits, target)
    else:
        same_shape(logits[:, 0], target)
        (logits,) = in_float32(logits)
    return F.cross_entropy(logits, target)


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
