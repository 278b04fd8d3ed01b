"""What every forward model offers, and how an object becomes a field."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators
from spt.optics.sampling_rules import Finding, refuse

Medium = dict[str, Tensor]
"""The random state of ``count`` media: every tensor has the leading axis ``count``."""


class Setup(ABC):
    """A forward model: from an object, through a scattering medium, to the irradiance on the camera.

    A new one defines ``window``, ``draw`` and ``intensity``. The rest has a default.
    """

    window: int
    """Side of objects and intensities [px]."""

    @property
    def measured(self) -> bool:
        """Whether the media are a limited number of recorded ones, so that no fresh one can be drawn for every pair."""
        return False

    @property
    def shift_invariant(self) -> bool:
        """Whether the frame is the object convolved with one function, whatever the object is."""
        return False

    @abstractmethod
    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` independent media.

        Args:
            count: media to draw.
            rng: one generator, or one for each medium. Random numbers are drawn on the CPU.
            device: where the media are computed from them.
        """

    @abstractmethod
    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Irradiance in the camera's window of objects in [0, 1], each behind its own medium; differentiable."""

    def report(self, pixel: float = 1.0) -> list[Finding]:
        """Sampling rules that the setup breaks, seen by a camera of ``pixel`` samples of the grid; none here."""
        return []

    def validate(self, pixel: float = 1.0) -> None:
        """Refuse a setup that cannot be sampled.

        Raises:
            InvalidValue: with the rule, the value, the limit and the nearest setting that works.
        """
        refuse(self.report(pixel))


def select(medium: Medium, index: Tensor | slice) -> Medium:
    """The media of ``index``, in its order; an index may repeat."""
    return {name: tensor[index] for name, tensor in medium.items()}


def square_objects(objects: Tensor, window: int) -> None:
    """Refuse objects of another size than the window.

    Raises:
        ValueError: if they are not ``window`` px square.
    """
    if objects.ndim != 3 or objects.shape[-2:] != (window, window):
        raise ValueError(f"objects must be {window}x{window} px, (b, n, n), got {tuple(objects.shape)}.")


def modulated(objects: Float[Tensor, "*b n n"], modulation: str) -> Complex[Tensor, "*b n n"]:
    """Field behind objects in [0, 1] lit by a plane wave: exp(i pi o) or o."""
    if modulation == "phase":
        return phase_factor(math.pi * objects)
    return torch.complex(objects, torch.zeros_like(objects))


def phase_factor(phase: Float[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """exp(i phase); on a CPU twice as fast as ``torch.polar``, whose last bit differs."""
    return torch.complex(phase.cos(), phase.sin())


def known_modulation(modulation: str) -> None:
    """Refuse what :func:`modulated` does not know.

    Raises:
        InvalidValue: naming the choices.
    """
    if modulation not in ("phase", "amplitude"):
        raise InvalidValue(f"modulation must be 'phase' or 'amplitude', got {modulation!r}.")
