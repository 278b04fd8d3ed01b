"""What every family of objects offers."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

SPLITS = {"train": 1, "val_seen": 2, "val_class": 3, "val_unseen": 4}
"""Split name to the number of its stream of random draws."""


class ObjectSource(Protocol):
    """Objects by split and number; the same (seed, split, number) is the same object, whatever was drawn before."""

    def describe(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types."""

    def count(self, split: str) -> int | None:
        """How many different objects a split has; None is no limit, 0 is no such split."""

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """Name each object by an integer that no other object has."""

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw objects of ``size`` px, 0 black to 255 white."""


class DrawnObjects:
    """Procedural objects: without limit, each from a generator of its own."""

    def count(self, split: str) -> int | None:
        """There are as many as are asked for."""
        return None

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """Stream of the split times 2**32, plus the number."""
        return [(SPLITS[split] << 32) + number for number in numbers]

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw objects of ``size`` px, 0 black to 255 white."""
        streams = [np.random.default_rng([seed, SPLITS[split], number]) for number in numbers]
        return np.stack([self.draw_one(split, size, rng) for rng in streams])

    def draw_one(self, split: str, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
        """Draw one object from its own generator."""
        raise NotImplementedError
