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


def resized(images: Float[Tensor, "*b h w"], size: int | tuple[int, int]) -> Float[Tensor, "*b p q"]:
    """Images on ``size`` px, a side or (height, width): area means where that is fewer, bilinear where it is more.

    Never negative for images that are not. Matrix products, so that the gradient is the same in every run on a GPU.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    if (rows, columns) == tuple(images.shape[-2:]):
        return images
    down, across = _weights(images.shape[-2], rows).to(images), _weights(images.shape[-1], columns).to(images)
    with full_precision():
        return down @ images @ across.T


def warped(images: Float[Tensor, "n h w"], changes: Float[Tensor, "n 2 3"]) -> Float[Tensor, "n h w"]:
    """Turn, scale, shear and move each of several images, bilinearly; beyond its edge an image is 0.

    Args:
        images: any.
        changes: from places (x, y, 1) of the result to places (x, y) of the image; half an image is 1.
    """
    grid = F.affine_grid(changes, [len(images), 1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def _weights(samples: int, pixels: int) -> Float[Tensor, "p s"]:
    return _overlap(samples, pixels, samples / pixels) if pixels <= samples else _bilinear(samples, pixels)


@lru_cache(maxsize=16)
def _bilinear(samples: int, pixels: int) -> Float[Tensor, "p s"]:
    """Linear interpolation between the middles of samples; beyond the outermost ones their value goes on."""
    with torch.inference_mode(False):
        eye = torch.eye(samples, dtype=torch.float64)
        return F.interpolate(eye[None], pixels, mode="linear", align_corners=False)[0].T.contiguous()


@lru_cache(maxsize=16)
def _overlap(samples: int, pixels: int, pixel: float) -> Float[Tensor, "p s"]:
    """Share of every pixel's extent that lies in every sample."""
    with torch.inference_mode(False):
        low = torch.arange(pixels, dtype=torch.float64)[:, None] * pixel
        left = torch.arange(samples, dtype=torch.float64)
        inside = torch.minimum(low + pixel, left + 1) - torch.maximum(low, left)
        return inside.clamp(min=0) / pixel
