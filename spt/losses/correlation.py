"""Losses on the correlation of two images."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spt.losses.closed_form import with_gradient
from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import in_float32, same_shape


def negative_pearson(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], eps: float = 1e-6
) -> Float[Tensor, ""]:
    """Minus the Pearson correlation of sigmoid(logits) and target per image and channel, then the mean; in [-1, 1].

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1], of the same shape; it gets no gradient.
        eps: floor of the standard deviations' product, so that a constant image gives 0 and no NaN.
    Raises:
        ValueError: if the shapes differ.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018), section 2.C (NPCC). Differs: computed per image, not over the batch.
    """
    same_shape(logits, target)
    logits, target = in_float32(logits, target)
    with torch.no_grad():
        value, gradient = _closed_form(logits, target, eps)
    return with_gradient(logits, value, gradient)


def _closed_form(x: Tensor, target: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Value and gradient ``-p (1 - p) (t' - r var_t p' / s) / (s pixels)``; ' less the mean, s of both deviations."""
    over: dict[str, Any] = {"dim": (2, 3), "keepdim": True}
    sigmoid = x.sigmoid()
    p, t = sigmoid - sigmoid.mean(**over), target - target.mean(**over)
    var_t = t.square().mean(**over)
    s = (p.square().mean(**over) * var_t + eps**2).sqrt()
    r = (p * t).mean(**over) / s
    slope = p.mul_(r * var_t / s).sub_(t).div_(s * x.numel())
    return -r.mean(), slope.mul_(sigmoid).mul_(1 - sigmoid)


class NPCCLoss(ImageLoss):
    """Negative Pearson correlation coefficient, see :func:`negative_pearson`.

    Args:
        eps: floor of the standard deviations' product, in [1e-12, 1e-6]; the square of less underflows in float32.
        check: see :class:`ImageLoss`.
    Raises:
        ValueError: if ``eps`` lies outside.
    """

    heads = ("binary",)

    def __init__(self, eps: float = 1e-6, check: bool = False) -> None:
        super().__init__(check)
        if not 1e-12 <= eps <= 1e-6:
            raise ValueError(f"eps must lie in [1e-12, 1e-6], got {eps}.")
        self.eps = eps

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return negative_pearson(logits, target, self.eps)
