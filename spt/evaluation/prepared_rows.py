"""Prepared frames as rows of pixels, a block at a time: 6,000 frames of 512 px would fill 6 GB as float32."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spt.data.files.frames import Frames

LARGE, SMALL, PIECE = 3 * 2**26, 2**26, 2**21
"""Pixels of a large block (800 MB as float32), a small one (270 MB), and of the frames that are prepared at once."""

COLUMNS = 8192
"""Pixels of a row that are multiplied at once: only they are copied to float64."""


@dataclass(frozen=True)
class PreparedRows:
    """Frames as they are stored, and what turns them into rows.

    Args:
        speckle: stored frames.
        prepare: from frames (b, 1, h, w) to rows (b, d).
    """

    speckle: Tensor | Frames
    prepare: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.speckle)

    @property
    def width(self) -> int:
        """Pixels of a row, d."""
        return self.prepare(self.speckle[:1][:, None]).shape[1]

    def block(self, start: int, stop: int) -> Float[Tensor, "b d"]:
        """Rows ``start`` to ``stop - 1``."""
        stop = min(stop, len(self))
        rows = torch.empty(stop - start, self.width)
        for part in parts(self.speckle, PIECE, start):
            last = min(part.stop, stop)
            rows[part.start - start : last - start] = self.prepare(self.speckle[part.start : last][:, None])
            if last == stop:
                break
        return rows


def parts(images: Tensor | Frames, pixels: int, first: int = 0) -> Iterator[slice]:
    """Cut images from number ``first`` on into parts of at most ``pixels`` pixels, and of at least one image."""
    step = max(1, pixels // math.prod(images.shape[1:]))
    for start in range(first, len(images), step):
        yield slice(start, min(start + step, len(images)))


def products(first: PreparedRows, second: PreparedRows) -> Float64[Tensor, "m n"]:
    """Inner products of all rows with all rows, summed in float64; of rows with themselves each only once."""
    same = first is second
    out = torch.empty(len(first), len(second), dtype=torch.float64)
    for large in parts(first.speckle, LARGE):
        rows = first.block(large.start, large.stop)
        for others in parts(second.speckle, SMALL, large.start if same else 0):
            values = _product(rows, second.block(others.start, others.stop))
            out[large, others] = values
            if same:
                out[others, large] = values.T
        del rows  # before the next block takes as much memory
    return out


def _product(a: Float[Tensor, "m d"], b: Float[Tensor, "n d"]) -> Float64[Tensor, "m n"]:
    total = torch.zeros(len(a), len(b), dtype=torch.float64)
    for left, right in zip(a.split(COLUMNS, dim=1), b.split(COLUMNS, dim=1), strict=True):
        total.addmm_(left.double(), right.double().T)
    return total


def mean_of(blocks: Iterable[Float[Tensor, "b ..."]]) -> Float64[Tensor, "..."]:
    """Mean over all rows of all blocks, in float64."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for block in blocks:
        total, count = total + block.sum(0, dtype=torch.float64), count + len(block)
    return total / count
