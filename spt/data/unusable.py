"""Pairs that no training can use are refused when all images are read for the first time, before the first epoch."""

from jaxtyping import Bool, Shaped
from torch import Tensor

from spt.data.bad_pixels import NEGATIVE, OUTSIDE, REMEDY, extremes, not_finite, outside, pixel_problem
from spt.data.pairs import Pairs, images
from spt.data.preparation import Preparation
from spt.errors import InvalidValue


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
    low, high = extremes(speckle)
    bad = ~(low.isfinite() & high.isfinite()) | (low == high)
    negative = (low < 0) & ~bad
    if negative.any():
        bad[negative] = not_finite(preparation(speckle[negative][:, None]))
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        first = f"{NEGATIVE} " if negative[row] else ""
        raise InvalidValue(
            f"the speckle of {pairs.where(start + row)}: {pixel_problem(speckle[row].numpy())}. {first}{REMEDY}"
        )
    background = preparation.correction.background
    if background is not None:
        dark = (speckle.float() <= background).flatten(1).all(1)
        said = "is dark everywhere once data.preparation.correction.background is subtracted"
        _refuse(pairs, start, dark, "speckle", said, "Set a lower background, or null. ")
    _refuse(pairs, start, outside(images(target)), "target", OUTSIDE)


def _refuse(pairs: Pairs, start: int, bad: Bool[Tensor, " b"], side: str, problem: str, first: str = "") -> None:
    if bad.any():
        raise InvalidValue(f"the {side} of {pairs.where(start + int(bad.nonzero()[0, 0]))} {problem}. {first}{REMEDY}")
