"""The thin random phase screen that models ground glass."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators, normal

EFFECTIVE_GRITS = {120: (0.30, 3.0), 220: (0.22, 3.0), 600: (0.14, 2.5), 1500: (0.09, 2.0)}
"""Grit to (RMS scattering angle [degree], RMS phase [rad]): modelling choices, see :func:`effective_grit`."""


@dataclass(frozen=True)
class ThinDiffuser:
    """Thin phase screen with a Gaussian autocorrelation ``sigma_phi**2 * exp(-r**2 / correlation_length**2)``.

    Args:
        sigma_phi: RMS phase [rad].
        correlation_length: 1/e radius of the phase's autocorrelation [m].
    Raises:
        InvalidValue: if ``sigma_phi`` is negative or ``correlation_length`` is not positive.
    Source: Goodman, Speckle Phenomena in Optics (2007), section 4.5.1 (surface scattering). Differs: nothing.
    """

    sigma_phi: float
    correlation_length: float

    def __post_init__(self) -> None:
        if not self.sigma_phi >= 0:
            raise InvalidValue(f"sigma_phi is an RMS phase in rad and cannot be negative, got {self.sigma_phi}.")
        if not self.correlation_length > 0:
            raise InvalidValue(f"correlation_length must be a positive length in m, got {self.correlation_length}.")

    @property
    def rms_phase(self) -> float:
        """RMS phase of the whole medium [rad]."""
        return self.sigma_phi

    @property
    def ballistic_fraction(self) -> float:
        """Share of the power that passes unscattered, ``exp(-sigma_phi**2)``."""
        return math.exp(-(self.sigma_phi**2))

    def scattering_angle(self, wavelength: float) -> float:
        """RMS scattering angle per axis [rad], ``wavelength * sigma_phi * sqrt(2) / (2 pi correlation_length)``."""
        return wavelength * self.sigma_phi * math.sqrt(2) / (2 * math.pi * self.correlation_length)

    def spread(self, distance: float, wavelength: float) -> float:
        """RMS radius per axis [m] of a point's light at ``distance`` behind the screen."""
        return self.scattering_angle(wavelength) * distance

    def draw(
        self,
        count: int,
        shape: tuple[int, int],
        pitch: float,
        rng: Generators,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "n h w"]:
        """Draw ``count`` independent phase screens [rad] of ``shape`` at sample spacing ``pitch`` [m].

        Source: spectral method; white noise filtered by the root of the power spectrum exp(-(pi l f)^2).
            Differs: the screen is periodic on the grid; its variance is exact in expectation.
        """
        noise = normal(rng, (count, *shape), device)
        spectrum = _filter(*shape, pitch, self.sigma_phi, self.correlation_length, noise.device)
        return torch.fft.irfft2(torch.fft.rfft2(noise) * spectrum, s=shape)


@lru_cache(maxsize=16)
def _filter(
    height: int, width: int, pitch: float, sigma_phi: float, correlation_length: float, device: torch.device
) -> Float[Tensor, "h f"]:
    """What turns the half spectrum of white noise into that of a screen; cached: do not write into it."""
    with torch.inference_mode(False):
        fy, fx = (torch.fft.fftfreq(n, pitch, dtype=torch.float64) for n in (height, width))
        amplitude = torch.exp(-((math.pi * correlation_length) ** 2) * (fy[:, None] ** 2 + fx**2) / 2)
        amplitude *= sigma_phi / amplitude.square().mean().sqrt()
        return amplitude[:, : width // 2 + 1].float().to(device)


def effective_grit(grit: int, wavelength: float = 532e-9) -> ThinDiffuser:
    """The thin diffuser that stands for ground glass of a grit, its angle scaled down until a grid can sample it.

    Args:
        grit: 120, 220, 600 or 1500.
        wavelength: wavelength at which the angle and the RMS phase hold [m].
    Raises:
        InvalidValue: if the grit has no preset.
    Source: none. No trustworthy roughness per grit is published, and literal ground glass (6 degree RMS) needs a pitch
        below 0.84 um; the order of the grits and the developed speckle are kept, the angles are modelling choices.
    """
    if grit not in EFFECTIVE_GRITS:
        raise InvalidValue(f"no effective diffuser for grit {grit}; there are {sorted(EFFECTIVE_GRITS)}.")
    degrees, sigma_phi = EFFECTIVE_GRITS[grit]
    length = wavelength * sigma_phi * math.sqrt(2) / (2 * math.pi * math.radians(degrees))
    return ThinDiffuser(sigma_phi, length)
