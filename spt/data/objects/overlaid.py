"""Grey objects from binary ones, and the other way round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from spt.data.objects.source import ObjectSource
from spt.data.streams import stream
from spt.errors import InvalidValue
from spt.optics.resampling import resized, warped


@dataclass(frozen=True)
class OverlaidObjects(ObjectSource):
    """Scenes of grey levels, made of other objects: each is turned, scaled, moved and painted over those before it.

    The ground has a random grey level, each object another one, and a smooth light falls on the whole.

    Args:
        objects: what is painted; where it is white, it covers what is below.
        layers: objects of a scene.
        plain: share of the scenes that are one object as it is, white on black.
        shade: how much darker the darkest place of a scene can be, a share.
    Raises:
        InvalidValue: if a setting is out of range.
    """

    objects: ObjectSource
    layers: int = 8
    plain: float = 0.2
    shade: float = 0.5

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise InvalidValue(f"objects.layers must be at least 1, got {self.layers}.")
        for name in ("plain", "shade"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidValue(f"objects.{name} must lie in [0, 1], got {getattr(self, name)}.")

    def describe(self) -> dict[str, Any]:
        """Settings, with those of the objects."""
        own = {name: getattr(self, name) for name in ("layers", "plain", "shade")}
        return {**own, "objects": self.objects.describe()}

    def count(self, split: str) -> int | None:
        """So many that no object is in two scenes; without limit where the objects have none."""
        there = self.objects.count(split)
        return None if there is None else there // self.layers

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """By the first object: a scene of objects that train is never one of objects that do not."""
        return self.objects.identify(split, [number * self.layers for number in numbers], seed)

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw scenes of ``size`` px."""
        return np.stack([self._scene(split, number, size, seed) for number in numbers])

    def _scene(self, split: str, number: int, size: int, seed: int) -> UInt8[np.ndarray, "h w"]:
        rng = stream(seed, "augmentation", number, split)
        first = number * self.layers
        painted = self.objects.draw(split, range(first, first + self.layers), size, seed)
        if rng.random() < self.plain:
            return painted[0]
        shapes = _moved(torch.from_numpy(painted), rng)
        scene = torch.full((size, size), rng.random())
        for shape in shapes:
            scene = scene * (1 - shape) + rng.random() * shape
        light = resized(torch.from_numpy(rng.random((1, 1, 3, 3))).float(), (size, size))[0, 0]
        scene = scene * (1 - self.shade * rng.random() * light)
        return (255 * scene.clamp(0, 1)).round().to(torch.uint8).numpy()


def _moved(painted: UInt8[torch.Tensor, "n h w"], rng: np.random.Generator) -> torch.Tensor:
    """Turn, scale (0.7 to 3 times) and move each of several objects; (n, h, w) in [0, 1]."""
    changes = []
    for _ in range(len(painted)):
        angle, zoom = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(math.log(0.7), math.log(3.0)))
        y, x = rng.uniform(-0.7, 0.7, 2)
        cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
        changes.append([[cos, -sin, x], [sin, cos, y]])
    return warped(painted.float() / 255, torch.tensor(changes, dtype=torch.float32))


@dataclass(frozen=True)
class BlackAndWhite(ObjectSource):
    """Other objects in black and white: for set-ups whose objects let light through or not.

    Args:
        objects: any.
        threshold: grey values above become white.
    """

    objects: ObjectSource
    threshold: float = 0.5

    def describe(self) -> dict[str, Any]:
        """The threshold, and the settings of the objects."""
        return {"threshold": self.threshold, "objects": self.objects.describe()}

    def count(self, split: str) -> int | None:
        """As many as there are objects."""
        return self.objects.count(split)

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """The names of the objects."""
        return self.objects.identify(split, numbers, seed)

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Draw objects of ``size`` px."""
        grey = self.objects.draw(split, numbers, size, seed)
        return np.where(grey > 255 * self.threshold, 255, 0).astype(np.uint8)
