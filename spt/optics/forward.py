"""The forward model: object, free space, diffuser, free space, camera plane."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from spt.optics.media import ThinDiffuser
from spt.optics.propagation import propagate


@dataclass(frozen=True)
class ThinDiffuserSetup:
    """An object behind a thin diffuser, seen by a camera without a lens.

    Args:
        window: side of the object window and of the camera [px].
        grid: side of the computational grid [px]; (grid - window) / 2 is the guard band.
        pitch: sample spacing, equal for object, diffuser and camera [m].
        wavelength: wavelength [m].
        object_distance: object to diffuser [m].
        camera_distance: diffuser to camera [m].
        diffuser: the medium's statistics.
        modulation: ``phase``: field exp(i pi o) in the window; ``amplitude``: field o; zero outside either way.
    Raises:
        ValueError: if the window does not fit the grid or ``modulation`` is unknown.
    Source: Fresnel-Kirchhoff scalar theory; Goodman, Introduction to Fourier Optics, chapters 3-5.
        Differs: scalar, thin diffuser, no lens.
    """

    window: int
    grid: int
    pitch: float
    wavelength: float
    object_distance: float
    camera_distance: float
    diffuser: ThinDiffuser
    modulation: Literal["phase", "amplitude"] = "phase"

    def __post_init__(self) -> None:
        if not 0 < self.window <= self.grid or (self.grid - self.window) % 2:
            raise ValueError(
                f"window = {self.window} px must be at most grid = {self.grid} px and differ from it by an even "
                "number, so that the guard band is the same on both sides."
            )
        if self.modulation not in ("phase", "amplitude"):
            raise ValueError(f"modulation must be 'phase' or 'amplitude', got {self.modulation!r}.")

    @property
    def guard(self) -> int:
        """Width of the dark border around the window [px]."""
        return (self.grid - self.window) // 2

    def draw_screens(self, count: int, generator: torch.Generator) -> Float[Tensor, "n g g"]:
        """Draw ``count`` independent diffusers as phase screens [rad] on the grid."""
        return self.diffuser.draw(count, (self.grid, self.grid), self.pitch, generator)

    def object_field(self, objects: Float[Tensor, "b n n"]) -> Complex[Tensor, "b g g"]:
        """Field behind the object, zero outside the window; ``objects`` hold values in [0, 1]."""
        if objects.shape[-2:] != (self.window, self.window):
            raise ValueError(f"objects must be {self.window}x{self.window} px, got {tuple(objects.shape[-2:])}.")
        field = (
            torch.polar(torch.ones_like(objects), math.pi * objects)
            if self.modulation == "phase"
            else torch.complex(objects, torch.zeros_like(objects))
        )
        return F.pad(field, (self.guard,) * 4)

    def intensity(self, objects: Float[Tensor, "b n n"], screens: Float[Tensor, "b g g"]) -> Float[Tensor, "b n n"]:
        """Speckle intensity in the camera's window for objects in [0, 1] behind phase screens [rad]."""
        field = propagate(self.object_field(objects), self.object_distance, self.pitch, self.wavelength)
        field = field * torch.polar(torch.ones_like(screens), screens)
        field = propagate(field, self.camera_distance, self.pitch, self.wavelength)
        inside = slice(self.guard, self.guard + self.window)
        return field[..., inside, inside].abs().square()
