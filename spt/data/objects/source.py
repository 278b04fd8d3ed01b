"""What every family of objects offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from spt.data.streams import SPLITS, stream


class ObjectSource(ABC):
    """Objects by split and number; the same (seed, split, number) is the same object, whatever was drawn before."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types."""

    @abstractmethod
    def count(self, split: str) -> int | None:
        """How many different objects a split has; None is no limit, 0 is no such split."""

    @abstractmethod
    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """Name each object by an integer that no other object has."""

    @abstractmethod
    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw objects of ``size`` px, 0 black to 255 white."""


class DrawnObjects(ObjectSource):
    """Procedural objects: without limit, each from a generator of its own."""

    def count(self, split: str) -> int | None:
        """There are as many as are asked for."""
        return None

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """Number of the split times 2**32, plus the number."""
        return [((SPLITS.index(split) + 1) << 32) + number for number in numbers]

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw objects of ``size`` px, 0 black to 255 white."""
        return np.stack([self.draw_one(split, size, stream(seed, "object", n, split)) for n in numbers])

    @abstractmethod
    def draw_one(self, split: str, size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
        """Draw one object from its own generator."""
