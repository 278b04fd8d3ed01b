"""How alike images are, whatever their size: small copies of them, and the distance between two of these."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from spt.data.pairs import Pairs
from spt.optics.precision import full_precision

SIDE = 16
"""Side of a small copy [px]."""

PIXELS_AT_ONCE = 2**22
"""Pixels that are read together: averaging is fastest where they stay in a CPU's cache."""

LEAST_SPREAD = 0.01
"""A set with a smaller spread shows one image again and again; rounding would then tell its images apart."""


@dataclass(frozen=True)
class Copies:
    """Small copies of the images of some pairs.

    Args:
        rows: numbers of the pairs.
        speckle: copies of the speckles.
        target: copies of the objects.
    """

    rows: Int[Tensor, " b"]
    speckle: Float[Tensor, "b n"]
    target: Float[Tensor, "b n"]


Look = Callable[[Pairs, int, Tensor, Tensor], None]
"""What is told of each block of images that is read: the split, its first pair, speckles, targets."""


def copies(pairs: Pairs, rows: Sequence[int] | None = None, look: Look | None = None) -> Iterator[Copies]:
    """Small copies of pairs, some at a time, in the order of ``rows``; of all pairs where there are none.

    Args:
        pairs: the images.
        rows: numbers of the pairs.
        look: shown every block of neighbouring pairs; it may refuse one.
    """
    rows = range(len(pairs)) if rows is None else rows
    pixels = max(images.shape[1] * images.shape[2] for images in (pairs.speckle, pairs.target))
    step = max(1, PIXELS_AT_ONCE // pixels)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        # A slice of a tensor is a view, a list of numbers makes a copy.
        index = slice(part[0], part[-1] + 1) if isinstance(part, range) else list(part)
        speckle, target = pairs.speckle[index], pairs.target[index]
        if look is not None:
            look(pairs, part[0], speckle, target)
        yield Copies(torch.tensor(part), thumbnails(speckle), thumbnails(target))


def joined(parts: Sequence[Copies]) -> Copies:
    """The copies of several parts, one after the other."""
    return Copies(*(torch.cat([getattr(part, name) for part in parts]) for name in ("rows", "speckle", "target")))


def thumbnails(images: Shaped[Tensor, "b h w"], side: int = SIDE) -> Float[Tensor, "b n"]:
    """Small copies of images, ``side`` px wide and high, as vectors of :func:`unit` length.

    Pixels that are no numbers count as 0.
    """
    few = _block_sums(images, 4 * side)[:, None]
    return unit(F.interpolate(few, (side, side), mode="bilinear", align_corners=False, antialias=True).flatten(1))


def unit(small: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Vectors of mean 0 and length 1, so that their products are correlations; zeros where all values are one."""
    centred = small - small.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    flat = length <= 1e-5 * small.norm(dim=1, keepdim=True)  # what rounding leaves of a single value
    return torch.where(flat, 0, centred / length.clamp(min=1e-30))


def _block_sums(images: Shaped[Tensor, "b h w"], least: int) -> Float[Tensor, "b p q"]:
    """Sums over blocks of pixels, ``least`` blocks or more a side: four times as fast as interpolating at once."""
    count, height, width = images.shape
    rows, columns = _block(height, least), _block(width, least)
    if images.dtype == torch.uint8 and rows <= 128:  # a sum of 128 bytes fits 16 bits
        sums = images.reshape(count, height // rows, rows, width).sum(2, dtype=torch.int16).float()
    else:
        pixels = images.float().nan_to_num(0, 0, 0)
        sums = pixels.reshape(count, height // rows, rows, width).sum(2)
    # A product with a vector is three times as fast as a pooling layer.
    return sums if columns == 1 else sums.unflatten(2, (-1, columns)) @ torch.ones(columns)


@lru_cache
def _block(side: int, least: int) -> int:
    """The greatest divisor of a side that leaves ``least`` blocks or more, or 1."""
    return max((k for k in range(1, side // least + 1) if side % k == 0), default=1)


def distances(first: Float[Tensor, "a n"], second: Float[Tensor, "b n"], scale: float = 1.0) -> Float[Tensor, "a b"]:
    """1 less the correlation of every small copy with every other, in units of ``scale``."""
    with full_precision():
        return (first @ second.T).neg_().add_(1).div_(scale)


def spread(small: Float[Tensor, "b n"]) -> float:
    """Average of 1 less the correlation of two images of a set, at least ``LEAST_SPREAD``."""
    count = len(small)
    if count < 2:
        return LEAST_SPREAD
    between = (small.square().sum(1).mean() - small.mean(0).square().sum()) * count / (count - 1)
    return max(between.item(), LEAST_SPREAD)
