"""Losses that judge every pixel for itself."""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

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


class BCELoss(nn.Module):
    """Binary cross-entropy of sigmoid(logits), see :func:`binary_cross_entropy`."""

    heads: ClassVar[tuple[str, ...]] = ("binary",)

    def forward(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return binary_cross_entropy(logits, target)


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


class CELoss(nn.Module):
    """Cross-entropy of softmax(logits), see :func:`cross_entropy`.

    With the two_class head it equals binary cross-entropy averaged over both softmax channels, the loss of the deep
    speckle correlation network.
    """

    heads: ClassVar[tuple[str, ...]] = ("two_class",)

    def forward(
        self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return cross_entropy(logits, target)
