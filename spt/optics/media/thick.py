"""The thick medium: several thin screens with free space between them."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators
from spt.optics.media.thin import ThinDiffuser


@dataclass(frozen=True)
class ThickDiffuser:
    """Independent thin screens, equally spaced over ``thickness``, the first and the last on its faces.

    Args:
        sigma_phi: RMS phase of one slice [rad].
        correlation_length: 1/e radius of the phase's autocorrelation in a slice [m].
        slices: number of slices, at least 2.
        thickness: first to last slice [m].
    Raises:
        InvalidValue: if there are fewer than 2 slices, ``thickness`` is not positive, or a slice is no thin diffuser.
    Source: the multi-slice method, Schott et al., Opt. Express 23, 13505 (2015), section 3. Differs: Gaussian screens;
        forward scattering only.
    """

    sigma_phi: float
    correlation_length: float
    slices: int
    thickness: float

    def __post_init__(self) -> None:
        if self.slices < 2:
            raise InvalidValue(f"a thick diffuser needs at least 2 slices, got {self.slices}. One is a ThinDiffuser.")
        if not self.thickness > 0:
            raise InvalidValue(f"thickness must be a positive length in m, got {self.thickness}.")
        ThinDiffuser(self.sigma_phi, self.correlation_length)

    @property
    def slice(self) -> ThinDiffuser:
        """One slice."""
        return ThinDiffuser(self.sigma_phi, self.correlation_length)

    @property
    def spacing(self) -> float:
        """Distance between slices [m]."""
        return self.thickness / (self.slices - 1)

    @property
    def positions(self) -> list[float]:
        """Distance of every slice from the first [m]."""
        return [k * self.spacing for k in range(self.slices)]

    @property
    def rms_phase(self) -> float:
        """RMS phase of the whole medium [rad]: the slices' phases add in quadrature."""
        return self.sigma_phi * math.sqrt(self.slices)

    @property
    def ballistic_fraction(self) -> float:
        """Share of the power that passes all slices unscattered."""
        return self.slice.ballistic_fraction**self.slices

    def scattering_angle(self, wavelength: float) -> float:
        """RMS scattering angle per axis behind the last slice [rad]: the slices' angles add in quadrature."""
        return self.slice.scattering_angle(wavelength) * math.sqrt(self.slices)

    def spread(self, distance: float, wavelength: float) -> float:
        """RMS radius per axis [m] of a point's light at ``distance`` behind the last slice."""
        return self.slice.scattering_angle(wavelength) * math.hypot(*(distance + z for z in self.positions))

    def draw(
        self,
        count: int,
        shape: tuple[int, int],
        pitch: float,
        rng: Generators,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "n s h w"]:
        """Draw ``count`` independent media as ``slices`` phase screens [rad] of ``shape`` each."""
        screens = self.slice.draw(count * self.slices, shape, pitch, rng, device)
        return screens.unflatten(0, (count, self.slices))
