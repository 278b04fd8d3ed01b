"""How new diffusers of a set-up and new objects differ from those that are known."""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.twin import Diffuser
from spt.optics.twin.model import NODES
from spt.optics.twin.noise import normal

FINE_SCALE = 0.003
"""Standard deviation of the difference between the scales y and x of a diffuser."""


@dataclass(frozen=True)
class Jitter:
    """How new diffusers of a set-up differ from its mean, and how new objects differ from stored ones.

    The defaults of the diffusers come from an earlier fit to three 220-grit diffusers. With two or three training
    diffusers the spread cannot be measured, above all that of the scale.

    Args:
        scale: greatest change of the spectrum's width, by the distance of the diffuser; a share.
        shift: standard deviation of the shift of the object against the light [object px].
        halo: of the shift of the light on the camera, as a share of half the frame.
        gain: of the log of all spectra.
        blur: of the log of the spectrum at the edge.
        weights: of the logs of the light's weights, at 14 x 14 nodes a window.
        light: of the same, alike in all windows.
        turn: greatest angle by which an object is turned [degrees].
        stretch: greatest change of its height and of its width, a share.
        shear: greatest shear.
        move: greatest move [px].
        changed: share of the objects that are turned, stretched, sheared and moved.
    Raises:
        InvalidValue: if a value is negative, or ``changed`` above 1.
    """

    scale: float = 0.045
    shift: float = 0.15
    halo: float = 0.005
    gain: float = 0.01
    blur: float = 0.03
    weights: float = 0.14
    light: float = 0.03
    turn: float = 12.0
    stretch: float = 0.1
    shear: float = 0.15
    move: float = 1.0
    changed: float = 0.67

    def __post_init__(self) -> None:
        for name in fields(self):
            if not getattr(self, name.name) >= 0:
                raise InvalidValue(f"data.twin.jitter.{name.name} must be 0 or more, got {getattr(self, name.name)}.")
        if self.changed > 1:
            raise InvalidValue(f"data.twin.jitter.changed must be at most 1, got {self.changed}.")

    def spread(self) -> dict[str, float]:
        """Standard deviation of each difference of a new diffuser, by its name in ``Diffuser``."""
        return {
            "scale": math.hypot(self.scale / math.sqrt(3), FINE_SCALE),  # of a uniform distribution
            "shift": self.shift,
            "halo": self.halo,
            "gain": self.gain,
            "blur": self.blur,
            "weights": math.hypot(self.weights, self.light),
        }


def new_diffuser(jitter: Jitter, rng: np.random.Generator, windows: int) -> Diffuser:
    """Draw one diffuser."""
    scale = rng.uniform(-jitter.scale, jitter.scale)
    shape = (NODES, NODES)
    return Diffuser(
        scale=torch.full((1, 2), scale, dtype=torch.float32) + FINE_SCALE * normal(rng, (1, 2)),
        shift=jitter.shift * normal(rng, (1, 2)),
        halo=jitter.halo * normal(rng, (1, 2)),
        gain=jitter.gain * normal(rng, (1,)),
        blur=jitter.blur * normal(rng, (1,)),
        weights=jitter.weights * normal(rng, (1, windows, *shape)) + jitter.light * normal(rng, (1, 1, *shape)),
    )


def affine(jitter: Jitter, rng: np.random.Generator, side: int) -> Float[Tensor, "2 3"]:
    """A random change of an object; the identity for a share of them."""
    if rng.random() >= jitter.changed:
        return torch.eye(2, 3)
    angle = math.radians(rng.uniform(-jitter.turn, jitter.turn))
    down, across = 1 + rng.uniform(-jitter.stretch, jitter.stretch, 2)
    shear = rng.uniform(-jitter.shear, jitter.shear)
    y, x = 2 * rng.uniform(-jitter.move, jitter.move, 2) / side
    return torch.tensor(
        [
            [across * math.cos(angle), shear - math.sin(angle), x],
            [math.sin(angle), down * math.cos(angle), y],
        ],
        dtype=torch.float32,
    )
