"""Losses on the structural similarity of two images."""

import torch
from jaxtyping import Float
from torch import Tensor

from spt.losses.closed_form import with_gradient
from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import in_float32, same_shape
from spt.metrics.image import ssim_map


def structural_dissimilarity(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """One minus the mean structural similarity of sigmoid(logits) and target, see :func:`spt.metrics.image.ssim`.

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1], of the same shape, at least 11x11 px; it gets no gradient.
    Raises:
        ValueError: if the shapes differ or an image is smaller than the window.
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13, 600 (2004), eq. (13). Differs: nothing; the metric's window
        and constants, in float32, which holds flat bright images to 2e-4.
    """
    same_shape(logits, target)
    x, t = in_float32(logits, target)
    p = x.sigmoid()
    # Its gradient at once: the five filtered images and their products would stay until the backward pass.
    with torch.enable_grad():
        leaf = p.detach().requires_grad_()
        value = 1 - ssim_map(leaf, t.detach()).mean()
        if not p.requires_grad:
            return value.detach()
        (gradient,) = torch.autograd.grad(value, leaf)
    return with_gradient(p, value.detach(), gradient)


class SSIMLoss(ImageLoss):
    """One minus structural similarity, see :func:`structural_dissimilarity`."""

    heads = ("binary",)

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return structural_dissimilarity(logits, target)
