"""Losses on the similarity of two images: their correlation and their structure."""

from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.losses.functional_image import negative_pearson, structural_dissimilarity
from spt.losses.image_loss import ImageLoss
from spt.metrics.image import SSIM_WINDOW


class NPCCLoss(ImageLoss):
    """Negative Pearson correlation coefficient, see :func:`negative_pearson`.

    Args:
        eps: floor of the standard deviations' product, in [1e-12, 1e-6]; the square of less underflows in float32.
        check: see :class:`ImageLoss`.
    Raises:
        InvalidValue: if ``eps`` lies outside.
    """

    heads = ("binary",)

    def __init__(self, eps: float = 1e-6, check: bool = False) -> None:
        super().__init__(check)
        if not 1e-12 <= eps <= 1e-6:
            raise InvalidValue(f"eps must lie in [1e-12, 1e-6], got {eps}.")
        self.eps = eps

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return negative_pearson(logits, target, self.eps)


class SSIMLoss(ImageLoss):
    """One minus structural similarity, see :func:`structural_dissimilarity`."""

    heads = ("binary",)
    minimum_size = SSIM_WINDOW

    def value(self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return structural_dissimilarity(logits, target)
