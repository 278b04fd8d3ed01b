"""Diffusers that hold the same frames: copies of a folder that count as two diffusers."""

import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spt.data.leaks.leak import Place, same_pixels
from spt.data.pairs import Pairs

STEP = 16
"""Every so many lines of a frame decide its key."""


class EqualFrames:
    """Collects a key of every frame while all images are read; then it names diffusers that share frames."""

    def __init__(self) -> None:
        self.splits: dict[str, Pairs] = {}
        self.keys: dict[str, array[int]] = {}

    def __call__(self, pairs: Pairs, start: int, speckle: Tensor, target: Tensor) -> None:
        """Look at the next block of pairs of a split."""
        self.splits[pairs.name] = pairs
        lines = np.ascontiguousarray(speckle.numpy()[:, ::STEP])
        self.keys.setdefault(pairs.name, array("I")).extend(zlib.crc32(frame.data) for frame in lines)

    def sentences(self) -> Iterator[str]:
        """A sentence for each two diffusers that hold equal frames."""
        shared: Counter[tuple[float, float]] = Counter()
        example: dict[tuple[float, float], tuple[Place, Place]] = {}
        for first, second in self._alike():
            both = (_diffuser(first), _diffuser(second))
            both = (min(both), max(both))
            if both[0] != both[1] and (both in example or same_pixels(first, second)):
                shared[both] += 1
                example.setdefault(both, (first, second))
        for (one, other), count in sorted(shared.items()):
            first, second = example[one, other]
            frames = "frame" if count == 1 else "frames"
            yield (
                f"Diffuser {one:g} and diffuser {other:g} hold {count:,} equal {frames}, for example {first} and "
                f"{second}. Copies of frames are no other diffuser."
            )

    def _alike(self) -> Iterator[tuple[Place, Place]]:
        """Frames of equal key: the first one with each later one."""
        keys = np.concatenate([np.array(keys) for keys in self.keys.values()])
        order = np.argsort(keys, kind="stable")
        first = None
        for before, this in pairwise(order):
            if keys[before] != keys[this]:
                first = None
                continue
            first = before if first is None else first
            yield self._place(first), self._place(this)

    def _place(self, number: int) -> Place:
        """Where a frame stands that has this number when those of all splits are counted."""
        for split, keys in self.keys.items():
            if number < len(keys):
                return Place(split, int(number), self.splits[split])
            number -= len(keys)
        raise IndexError(number)


def _diffuser(place: Place) -> float:
    return float(torch.as_tensor(place.pairs.diffuser)[place.row])
