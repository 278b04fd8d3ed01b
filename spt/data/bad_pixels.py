"""What no camera records and no object shows: found in one way, and said in one way, wherever images are checked."""

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from spt.data.files.frames import Frames

REMEDY = (
    "Mend the file, or leave it out: python scripts/check_data.py data=… out=bad.txt lists all bad images, and "
    "data.source.skip=bad.txt leaves them out."
)

NEGATIVE = "data.preparation.correction.background=0 sets negative values to 0."

OUTSIDE = "holds NaN or values outside [0, 1]"
"""An object that no network can be compared with."""


def pixel_problem(image: Shaped[np.ndarray, "h w"]) -> str | None:
    """What no camera records, or None."""
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        return f"{1 - np.isfinite(image).mean():.2%} of the pixels are NaN or infinite"
    lowest = image.min()
    if lowest < 0:
        return f"{(image < 0).mean():.2%} of the pixels are negative, the lowest is {lowest:g}"
    return f"constant, every pixel is {lowest:g}" if lowest == image.max() else None


def extremes(images: Shaped[Tensor, "b ..."]) -> tuple[Tensor, Tensor]:
    """Least and greatest pixel of each image; NaN where it holds one. Much faster than a test of every pixel."""
    flat = images.flatten(1).numpy()  # a hundred times as fast as torch.aminmax on bytes
    return torch.from_numpy(flat.min(1).astype(float)), torch.from_numpy(flat.max(1).astype(float))


def not_finite(images: Shaped[Tensor, "b ..."]) -> Bool[Tensor, " b"]:
    """Which images hold NaN or infinity."""
    low, high = extremes(images)
    return ~(low.isfinite() & high.isfinite())


def outside(images: Shaped[Tensor, "b ..."]) -> Bool[Tensor, " b"]:
    """Which objects hold NaN or leave [0, 1]."""
    low, high = extremes(images)
    return ~((low >= 0) & (high <= 1))


def place(split: str, row: int, images: Tensor | Frames) -> str:
    """What messages call an image of a split: its place, and its file where there is one."""
    name = f"{split} pair {row}"
    return f"{name} ({images.name(row)})" if isinstance(images, Frames) else name
