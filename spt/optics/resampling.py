"""Images on another pixel grid."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from spt.optics.precision import full_precision


def area_resampled(images: Float[Tensor, "*b h w"], pixel: float, rows: int, columns: int) -> Float[Tensor, "*b r c"]:
    """Mean over square pixels of ``pixel`` samples, ``rows`` x ``columns`` of them from the top left corner.

    Source: exact integral of an image that is constant over each sample. Differs: nothing.
    """
    down = _overlap(images.shape[-2], rows, pixel).to(images)
    across = _overlap(images.shape[-1], columns, pixel).to(images)
    with full_precision():
        return down @ images @ across.T


def resized(images: Float[Tensor, "b h h"], size: int) -> Float[Tensor, "b n n"]:
    """Square images on ``size`` px: area means where that is fewer, bilinear where it is more; never negative."""
    samples = images.shape[-1]
    if size == samples:
        return images
    if size < samples:
        return area_resampled(images, samples / size, size, size)
    return F.interpolate(images[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]


@lru_cache(maxsize=16)
def _overlap(samples: int, pixels: int, pixel: float) -> Float[Tensor, "p s"]:
    """Share of every pixel's extent that lies in every sample."""
    with torch.inference_mode(False):
        low = torch.arange(pixels, dtype=torch.float64)[:, None] * pixel
        left = torch.arange(samples, dtype=torch.float64)
        inside = torch.minimum(low + pixel, left + 1) - torch.maximum(low, left)
        return inside.clamp(min=0) / pixel
