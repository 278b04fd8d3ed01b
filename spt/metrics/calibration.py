"""Are probabilities true? Of all pixels predicted to be lit with probability p, a share p should be lit.

A pixel's prediction is its probability of being lit, its truth is the target at threshold .5. Pixels are sorted by
prediction into bins of one width; three sums a bin and image hold all that the error and the diagram need.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.metrics.indexed import IndexedMetric
from spt.precision import in_float64
from spt.shapes import same_shape

BINS = 15


def reliability(
    pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], bins: int = BINS
) -> Float[Tensor, "b 3 bins"]:
    """Pixels, summed probability and lit pixels of every bin, image by image, in float64.

    Bin i holds i / bins <= p < (i + 1) / bins; the last holds p = 1 too.

    Args:
        pred: probabilities in [0, 1].
        target: images in [0, 1]; a pixel is lit from .5 on.
        bins: bins of equal width.
    Raises:
        ValueError: if the shapes differ, ``bins`` is not positive or a probability lies outside [0, 1].
    Source: Guo, Pleiss, Sun, Weinberger, ICML 2017, section 2, "Reliability diagrams". Differs: the probability of
        the lit class for every pixel, not the confidence in the likelier class; bins closed at the left.
    """
    same_shape(pred, target, "pred")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    p, lit = in_float64(pred).flatten(1), in_float64(target).flatten(1) >= 0.5
    if ((p < 0) | (p > 1)).any():
        raise ValueError("calibration needs probabilities in [0, 1]; these lie outside. Decode the logits first.")
    at = (p * bins).long().clamp(0, bins - 1)  # NaN falls somewhere, and its sum is NaN
    values = torch.stack([torch.ones_like(p), p, lit.to(p.dtype)], dim=1)
    return values.new_zeros(len(p), 3, bins).scatter_add_(2, at[:, None].expand_as(values), values)


def calibration_error(sums: Float[Tensor, "... 3 bins"]) -> Float[Tensor, "..."]:
    """Expected calibration error: mean over pixels of their bin's |mean probability - share of lit pixels|.

    Args:
        sums: of :func:`reliability`; added over images they give the error pooled over the pixels of all.
    Source: Guo, Pleiss, Sun, Weinberger, ICML 2017, eq. (3). Differs: as :func:`reliability`.
    """
    pixels, probability, lit = sums.unbind(-2)
    return (probability - lit).abs().sum(-1) / pixels.sum(-1)


class Reliability(IndexedMetric):
    """Collects the bins of every image over a split, on any number of processes; the value is their sum.

    Args:
        bins: bins of equal width.
    """

    def __init__(self, bins: int = BINS) -> None:
        super().__init__()
        self.bins = bins

    def update(
        self, pred: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], index: Int[Tensor, " b"]
    ) -> None:
        """Add a batch of images in [0, 1]."""
        self.add(reliability(pred, target, self.bins), index)

    def compute(self) -> Float[Tensor, "3 bins"]:
        """Sum over images, each counted once."""
        return self.once().sum(0)
