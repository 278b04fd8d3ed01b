"""Every image of a set is read once, and bad ones are named."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped
from torch import Tensor

from spt.data.bad_pixels import pixel_problem
from spt.data.files.frames import Frames
from spt.errors import UserError
from spt.evaluation.data_check.finding import Finding, Name, Side, reason

BLOCK = 2**25
"""Bytes that are read at once."""


@dataclass(frozen=True)
class Stack:
    """Images that lie together: those of one file, or of one split in memory.

    Args:
        side: what they are.
        frames: all images that lie there.
        rows: those that are checked.
        names: of these.
    """

    side: Side
    frames: Tensor | Frames
    rows: Sequence[int]
    names: Sequence[Name]


def find_bad(
    stacks: Sequence[Stack], saturated: float, advance: Callable[[int], object] = lambda count: None
) -> list[Finding]:
    """Read all images, a block at a time, and name those that are bad: one problem for each.

    Args:
        stacks: the images.
        saturated: a speckle with more pixels at the brightest level of all is bad (share).
        advance: told how many images were read.
    """
    found: list[Finding] = []
    sides: tuple[Side, ...] = ("speckle", "target")
    for side in sides:
        mine = [stack for stack in stacks if stack.side == side]
        kinds = Counter(_kind(stack) for stack in mine for _ in stack.rows)
        usual, watch = max(kinds, key=kinds.__getitem__, default=""), _Watch(side, saturated)
        for stack in mine:
            if _kind(stack) != usual:
                found += [Finding(side, name, f"{_kind(stack)}; most are {usual}") for name in stack.names]
                advance(len(stack.rows))
                continue
            for name, image in _images(stack):
                watch.look(name, image)
                advance(1)
        found += watch.found()
    return found


def _kind(stack: Stack) -> str:
    _, height, width = stack.frames.shape
    return f"{height}x{width} px ({str(stack.frames.dtype).removeprefix('torch.')})"


def _images(stack: Stack) -> Iterator[tuple[Name, Shaped[np.ndarray, "h w"] | UserError]]:
    """Each image, or the error that reading it gives."""
    height, width = stack.frames.shape[1:]
    step = max(1, BLOCK // (height * width * stack.frames.dtype.itemsize))
    for start in range(0, len(stack.rows), step):
        rows, names = stack.rows[start : start + step], stack.names[start : start + step]
        try:
            yield from zip(names, _read(stack.frames, rows), strict=True)
        except UserError as error:
            if len(rows) == 1:
                yield names[0], error
                continue
            for row, name in zip(rows, names, strict=True):
                yield from _images(Stack(stack.side, stack.frames, [row], [name]))


def _read(frames: Tensor | Frames, rows: Sequence[int]) -> Shaped[np.ndarray, "b h w"]:
    if isinstance(frames, Frames):
        return frames.read(rows).numpy()
    return frames.numpy()[list(rows)]


@dataclass
class _Watch:
    """What must be remembered of the images that were read: their hashes, and which may be saturated."""

    side: Side
    saturated: float
    bad: list[Finding] = field(default_factory=list)
    seen: dict[bytes, Name] = field(default_factory=dict)
    bright: list[tuple[Name, float, float]] = field(default_factory=list)
    highest: float = -float("inf")

    def look(self, name: Name, image: Shaped[np.ndarray, "h w"] | UserError) -> None:
        """Check one image."""
        if isinstance(image, UserError):
            file = name if isinstance(name, str) else str(name.path)
            problem: str | None = reason(image, file)
        else:
            problem = pixel_problem(image) or (self._repeated(name, image) if self.side == "speckle" else None)
        if problem is not None:
            self.bad.append(Finding(self.side, name, problem))
        elif self.side == "speckle" and not isinstance(image, UserError):
            highest = float(image.max())
            share = float((image == highest).mean())
            self.highest = max(self.highest, highest)
            if share > self.saturated:
                self.bright.append((name, highest, share))

    def _repeated(self, name: Name, image: Shaped[np.ndarray, "h w"]) -> str | None:
        first = self.seen.setdefault(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), name)
        return None if first is name else f"the same pixels as {first}"

    def found(self) -> list[Finding]:
        """Everything bad, now that the brightest level is known."""
        return self.bad + [
            Finding(self.side, name, f"saturated: {share:.1%} of the pixels are at the brightest level, {level:g}")
            for name, level, share in self.bright
            if level == self.highest
        ]
