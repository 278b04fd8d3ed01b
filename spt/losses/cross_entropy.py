"""Losses that judge every pixel for itself."""

import torch.nn.functional as F
from jaxtyping import Float
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

    def forward(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return binary_cross_entropy(logits, target)
