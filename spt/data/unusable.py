"""Pairs that no training can use are refused when all images are read for the first time, before the first epoch."""

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from spt.data.pairs import Pairs, images
from spt.data.preparation import Preparation
from spt.errors import InvalidValue

REMEDY = (
    "Mend the file, or leave it out: python scripts/check_data.py data=… out=bad.txt lists all bad images, and "
    "data.source.skip=bad.txt leaves them out."
)


def refuse_unusable(
    pairs: Pairs,
    start: int,
    speckle: Shaped[Tensor, "b h w"],
    target: Shaped[Tensor, "b p q"],
    preparation: Preparation,
) -> None:
    """Refuse a block of pairs in which an image shows nothing or holds no numbers.

    An object may be constant: an empty field of view is one. A speckle may be negative, where the preparation makes
    numbers of it.

    Args:
        pairs: the split.
        start: number of the first pair of the block.
        speckle: their frames as they were recorded.
        target: their objects, prepared.
        preparation: of the frames; only negative frames are prepared here.
    Raises:
        InvalidValue: naming the first bad image.
    """
    low, high = _extremes(speckle)
    _refuse(pairs, start, ~(low.isfinite() & high.isfinite()), "speckle", "holds NaN or infinite values")
    _refuse(pairs, start, low == high, "speckle", "is constant: all of its pixels are equal")
    negative = low < 0
    if negative.any():
        negative[negative.clone()] = ~preparation(speckle[negative][:, None]).isfinite().flatten(1).all(1)
        said = "holds negative intensities, of which the preparation makes NaN"
        _refuse(pairs, start, negative, "speckle", said, "data.preparation.correction.background=0 sets them to 0. ")
    low, high = _extremes(images(target)[:, 0])
    _refuse(pairs, start, ~((low >= 0) & (high <= 1)), "target", "holds NaN or values outside [0, 1]")


def _extremes(block: Shaped[Tensor, "b h w"]) -> tuple[Tensor, Tensor]:
    """Least and greatest pixel of each image; NaN where it holds one."""
    flat = block.flatten(1).numpy()  # a hundred times as fast as torch.aminmax on bytes
    return torch.from_numpy(flat.min(1).astype(float)), torch.from_numpy(flat.max(1).astype(float))


def _refuse(pairs: Pairs, start: int, bad: Bool[Tensor, " b"], side: str, problem: str, first: str = "") -> None:
    if bad.any():
        raise InvalidValue(f"the {side} of {pairs.where(start + int(bad.nonzero()[0, 0]))} {problem}. {first}{REMEDY}")
