"""Losses on the correlation of two images."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from spt.losses.shapes import in_float32, same_shape


def negative_pearson(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], eps: float = 1e-6
) -> Float[Tensor, ""]:
    """Minus the Pearson correlation of sigmoid(logits) and target per image and channel, then the mean; in [-1, 1].

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1], of the same shape.
        eps: floor of the standard deviations' product, so that a constant image gives 0 and no NaN.
    Raises:
        ValueError: if the shapes differ.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018), section 2.C (NPCC). Differs: computed per image, not over the batch.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    p, t = logits.sigmoid().flatten(2), target.flatten(2)
    p, t = p - p.mean(2, keepdim=True), t - t.mean(2, keepdim=True)
    variances = p.square().mean(2) * t.square().mean(2)
    return -((p * t).mean(2) / (variances + eps**2).sqrt()).mean()


class NPCCLoss(nn.Module):
    """Negative Pearson correlation coefficient, see :func:`negative_pearson`.

    Args:
        eps: floor of the standard deviations' product, in [1e-12, 1e-6]; the square of less underflows in float32.
    Raises:
        ValueError: if ``eps`` lies outside.
    """

    heads: ClassVar[tuple[str, ...]] = ("binary",)

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        if not 1e-12 <= eps <= 1e-6:
            raise ValueError(f"eps must lie in [1e-12, 1e-6], got {eps}.")
        self.eps = eps

    def forward(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return negative_pearson(logits, target, self.eps)
