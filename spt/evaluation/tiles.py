"""Frames larger than those of the training, in overlapping tiles; refused where a tile's place changes its image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.errors import InvalidValue

Size = tuple[int, int]
Reconstruct = Callable[[Shaped[Tensor, "n h w"]], Float[Tensor, "n h w"]]

TOLERANCE = 0.05
"""Greatest difference of two tiles where they overlap: root mean square, as a share of the image's contrast."""


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut.

    Args:
        tile: height and width of a tile [px].
        step: distance of two tiles along an axis is a multiple of it [px].
        margin: pixels at a tile's border that are not used, except at the border of the frame [px].
    """

    tile: Size
    step: int
    margin: int

    def starts(self, frame: Size) -> Iterator[tuple[int, int]]:
        """Upper left corner of each tile."""
        return product(self._along(frame[0], self.tile[0]), self._along(frame[1], self.tile[1]))

    def _along(self, side: int, tile: int) -> list[int]:
        stride = (tile - 2 * self.margin) // self.step * self.step
        return [*range(0, side - tile, stride), side - tile]

    def kept(self, start: int, side: int, tile: int) -> slice:
        """Pixels of a tile that are used, in the frame."""
        first = start if start == 0 else start + self.margin
        last = start + tile if start + tile == side else start + tile - self.margin
        return slice(first, last)


def find_tiling(reconstruct: Reconstruct, frame: Shaped[Tensor, "h w"], tile: Size) -> Tiling:
    """Tiles whose images agree where they overlap, measured in the middle of the frame.

    Two tiles, up to half a tile apart, must give the same image of what both see. Where they differ near their
    borders, these are left out. Distances that are powers of two are tried, the greatest first: most networks halve
    their maps, and agree at multiples of their stride alone.

    Args:
        reconstruct: frames of the size of a tile to their images of the same size.
        frame: a recorded frame, larger than a tile.
        tile: height and width of the training frames [px].
    Raises:
        InvalidValue: if the frame is smaller than a tile, or no such tiles exist.
    """
    size = (frame.shape[0], frame.shape[1])
    if size[0] < tile[0] or size[1] < tile[1]:
        raise InvalidValue(f"a frame of {size[0]}x{size[1]} px is smaller than a tile of {tile[0]}x{tile[1]} px.")
    spare, worst = [whole - part for whole, part in zip(size, tile, strict=True)], float("inf")
    steps = [2**k for k in range(10, -1, -1) if 2**k <= min(tile) // 2 and not any(room % 2**k for room in spare)]
    for step in steps:
        margin, difference = _margin(reconstruct, frame, tile, step)
        worst = min(worst, difference)
        if margin is not None:
            return Tiling(tile, step, margin)
    raise InvalidValue(
        f"tiles would not fit together: where two of them overlap, their images differ by {worst:.0%} of the contrast "
        f"(allowed {TOLERANCE:.0%}). The network is not shift-invariant: its image depends on the place in the frame, "
        f"through attention, a position encoding or a receptive field as large as the tile. Use frames of "
        f"{tile[0]}x{tile[1]} px, or train on larger ones."
    )


def tiled(
    reconstruct: Reconstruct, frames: Shaped[Tensor, "n h w"], tiling: Tiling, batch_size: int
) -> Float[Tensor, "n h w"]:
    """Images of large frames."""
    size = (frames.shape[1], frames.shape[2])
    images = torch.empty(frames.shape, dtype=torch.float32)
    places = [(number, *start) for number in range(len(frames)) for start in tiling.starts(size)]
    for first in range(0, len(places), batch_size):
        few = places[first : first + batch_size]
        tiles = reconstruct(torch.stack([_cut(frames[number], (y, x), tiling.tile) for number, y, x in few]))
        for (number, y, x), image in zip(few, tiles, strict=True):
            rows, columns = tiling.kept(y, size[0], tiling.tile[0]), tiling.kept(x, size[1], tiling.tile[1])
            used = image[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
            images[number, rows, columns] = used
    return images


def _margin(reconstruct: Reconstruct, frame: Tensor, tile: Size, step: int) -> tuple[int | None, float]:
    """Border to leave out, or None, and the difference inside the greatest border that was tried."""
    pairs = [
        _pair(reconstruct, frame, tile, axis, shift)
        for axis in (0, 1)
        for shift in _shifts(min(tile[axis] // 2, frame.shape[axis] - tile[axis]), step)
    ]
    difference = 0.0
    for margin in range(max(1, min(tile) // 4 - min(tile) // 16)):
        difference = max((_difference(*pair, margin) for pair in pairs), default=0.0)
        if difference <= TOLERANCE:
            return margin, difference
    return None, difference


def _shifts(room: int, step: int) -> set[int]:
    """Greatest multiple of the step, which tells most of the place, and greatest odd one, which tells of the stride."""
    count = room // step
    return {count * step, (count - 1 + count % 2) * step} if count else set()


def _pair(
    reconstruct: Reconstruct, frame: Tensor, tile: Size, axis: int, shift: int
) -> tuple[Tensor, Tensor, int, int]:
    """Images of two tiles near the middle of the frame, the axis they are moved along, and how far."""
    start = [(side - part) // 2 for side, part in zip(frame.shape, tile, strict=True)]
    start[axis] = (frame.shape[axis] - tile[axis] - shift) // 2
    moved = [start[0] + shift * (axis == 0), start[1] + shift * (axis == 1)]
    images = reconstruct(torch.stack([_cut(frame, place, tile) for place in (start, moved)]))
    return images[0], images[1], axis, shift


def _difference(one: Tensor, other: Tensor, axis: int, shift: int, margin: int) -> float:
    """Root mean square difference of what both tiles see, over the standard deviation of their images."""
    length = one.shape[axis] - shift
    first = one.narrow(axis, shift, length)
    second = other.narrow(axis, 0, length)
    inner = [slice(margin, side - margin) for side in first.shape]
    contrast = torch.stack([one, other]).std().item()
    difference = (first[tuple(inner)] - second[tuple(inner)]).square().mean().sqrt().item()
    return difference / contrast if contrast > 0 else 0.0


def _cut(frame: Tensor, start: tuple[int, int] | list[int], tile: Size) -> Tensor:
    return frame[start[0] : start[0] + tile[0], start[1] : start[1] + tile[1]]
