"""Diffuser setups: object, free space, diffuser, free space, camera plane."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators, shares
from spt.optics.illumination import GaussianBeam
from spt.optics.media import ThickDiffuser, ThinDiffuser, effective_grit
from spt.optics.motion import IndependentPatterns, MovingDiffuser
from spt.optics.propagation import propagate
from spt.optics.sampling_rules import Finding, diffuser_findings
from spt.optics.setup import Medium, Setup, known_modulation, modulated, phase_factor, square_objects


@dataclass(frozen=True)
class DiffuserSetup(Setup):
    """An object behind a diffuser, seen by a camera without a lens.

    Args:
        window: side of the object window and of the camera [px].
        grid: side of the computational grid [px]; (grid - window) / 2 is the guard band.
        pitch: sample spacing, equal for object, diffuser and camera [m].
        wavelength: wavelength [m].
        object_distance: object to diffuser [m].
        camera_distance: diffuser to camera [m]; a pair (near, far) is a range that every medium draws its own from.
        diffuser: the medium's statistics.
        modulation: ``phase``: field exp(i pi o) in the window; ``amplitude``: field o; zero outside either way.
        illumination: the beam; None is a plane wave.
        averaging: what the diffuser does during an exposure; None: it stands still.
        allow_band_limited: accept distances at which the grid cuts the steepest waves (sampling rule 2).
        object_bandwidth: share of the grid's highest frequency that light from the object may have. Steeper light is
            stopped before the diffuser, because the diffuser would scatter it off the grid. 1 stops nothing.
    Raises:
        InvalidValue: if the window does not fit the grid, ``modulation`` is unknown, a distance is no distance,
            ``object_bandwidth`` is out of range, or the setup breaks a sampling rule.
    Source: Fresnel-Kirchhoff scalar theory; Goodman, Introduction to Fourier Optics, chapters 3-5.
        Differs: scalar, no lens.
    """

    window: int
    grid: int
    pitch: float
    wavelength: float
    object_distance: float
    camera_distance: float | Sequence[float]
    diffuser: ThinDiffuser | ThickDiffuser
    modulation: Literal["phase", "amplitude"] = "phase"
    illumination: GaussianBeam | None = None
    averaging: IndependentPatterns | MovingDiffuser | None = None
    allow_band_limited: bool = False
    object_bandwidth: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.window <= self.grid or (self.grid - self.window) % 2:
            raise InvalidValue(
                f"window = {self.window} px must be at most grid = {self.grid} px and differ from it by an even "
                "number, so that the guard band is the same on both sides."
            )
        known_modulation(self.modulation)
        if not (self.pitch > 0 and self.wavelength > 0):
            raise InvalidValue(
                f"pitch and wavelength must be positive lengths in m, got {self.pitch} and {self.wavelength}."
            )
        near, far = self.camera_range
        if not 0 <= near <= far < math.inf or not 0 <= self.object_distance < math.inf:
            raise InvalidValue(
                "object_distance and camera_distance must be lengths in m, or camera_distance a range (near, far), got "
                f"{self.object_distance} and {self.camera_distance}."
            )
        if not 0 < self.object_bandwidth <= 1:
            raise InvalidValue(f"object_bandwidth must lie in (0, 1], got {self.object_bandwidth}.")
        self.validate()

    @property
    def guard(self) -> int:
        """Width of the dark border around the window [px]."""
        return (self.grid - self.window) // 2

    @property
    def camera_range(self) -> tuple[float, float]:
        """Nearest and farthest camera [m]."""
        if isinstance(self.camera_distance, Sequence):
            near, far = self.camera_distance if len(self.camera_distance) == 2 else (math.nan, math.nan)
            return near, far
        return self.camera_distance, self.camera_distance

    def report(self, pixel: float = 1.0) -> list[Finding]:
        """Rules that the setup breaks, seen by a camera of ``pixel`` samples of the grid."""
        return diffuser_findings(
            self.window,
            self.grid,
            self.pitch,
            self.wavelength,
            [self.object_distance, self.camera_range[1], *self._steps()],
            self.camera_range,
            self.diffuser,
            pixel,
            self.allow_band_limited,
        )

    @property
    def stop(self) -> float:
        """Highest spatial frequency [1/m] of light from the object; infinite where nothing is stopped."""
        return self.object_bandwidth / (2 * self.pitch) if self.object_bandwidth < 1 else math.inf

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` independent media.

        Returns:
            ``screens`` (n, p, ...): phase screens [rad] of each of the ``p`` patterns of an exposure; ``distance``
            (n,): diffuser to camera [m] in float64, where it is a range.
        """

        def drawn(media: int) -> Tensor:
            return self.diffuser.draw(media, (self.grid, self.grid), self.pitch, rng, device)

        screens = self.averaging.draw(count, drawn, self.pitch) if self.averaging else drawn(count)[:, None]
        if not isinstance(self.camera_distance, Sequence):
            return {"screens": screens}
        near, far = self.camera_range
        distance = np.concatenate([one.uniform(near, far, share) for one, share in shares(rng, count)])
        return {"screens": screens, "distance": torch.from_numpy(distance).to(device)}

    def object_field(self, objects: Float[Tensor, "b n n"]) -> Complex[Tensor, "b g g"]:
        """Field behind the object, zero outside the window; ``objects`` hold values in [0, 1]."""
        square_objects(objects, self.window)
        field = modulated(objects, self.modulation)
        if self.illumination:
            field = field * self.illumination.field(self.window, self.pitch, objects)
        return F.pad(field, (self.guard,) * 4)

    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Speckle intensity in the camera's window for objects in [0, 1], each behind its own medium."""
        return self.behind(self.at_medium(objects), medium)

    def at_medium(self, objects: Float[Tensor, "b n n"]) -> Complex[Tensor, "b g g"]:
        """Field on the first face of the medium."""
        field = self.object_field(objects)
        return propagate(field, self.object_distance, self.pitch, self.wavelength, stop=self.stop)

    def behind(self, field: Complex[Tensor, "b g g"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Speckle intensity in the camera's window for fields on the first face, each of its own medium."""
        field = self._scatter(field[:, None], medium["screens"].to(field.real.dtype))
        distance = medium["distance"][:, None] if "distance" in medium else self.camera_range[0]
        field = propagate(field, distance, self.pitch, self.wavelength)
        inside = slice(self.guard, self.guard + self.window)
        seen = field[..., inside, inside]
        return (seen.real.square() + seen.imag.square()).mean(1)

    def _steps(self) -> list[float]:
        """Distances of free space inside the medium."""
        return []

    @abstractmethod
    def _scatter(self, field: Complex[Tensor, "b 1 g g"], screens: Tensor) -> Complex[Tensor, "b p g g"]:
        """Field behind the medium."""


@dataclass(frozen=True)
class ThinDiffuserSetup(DiffuserSetup):
    """An object behind one thin diffuser; ``screens`` are (n, p, g, g)."""

    diffuser: ThinDiffuser

    def _scatter(self, field: Complex[Tensor, "b 1 g g"], screens: Tensor) -> Complex[Tensor, "b p g g"]:
        return phase_factor(screens).mul_(field)


@dataclass(frozen=True)
class ThickDiffuserSetup(DiffuserSetup):
    """An object behind a thick, multi-slice diffuser; ``screens`` are (n, p, s, g, g)."""

    diffuser: ThickDiffuser

    def _steps(self) -> list[float]:
        return [self.diffuser.spacing]

    def _scatter(self, field: Complex[Tensor, "b 1 g g"], screens: Tensor) -> Complex[Tensor, "b p g g"]:
        for k in range(self.diffuser.slices):
            if k:
                field = propagate(field, self.diffuser.spacing, self.pitch, self.wavelength)
            field = phase_factor(screens[..., k, :, :]).mul_(field)
        return field


@dataclass(frozen=True)
class GritSetup(ThinDiffuserSetup):
    """An object behind the effective diffuser of a grit, see :func:`spt.optics.effective_grit`.

    Args:
        grit: 120, 220, 600 or 1500.
    """

    diffuser: ThinDiffuser = field(init=False)
    grit: int = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "diffuser", effective_grit(self.grit, self.wavelength))
        super().__post_init__()
