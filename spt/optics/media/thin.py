"""The thin random phase screen that models ground glass."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.optics.propagation import fields_at_once

EFFECTIVE_GRITS = {120: (0.30, 3.0), 220: (0.22, 3.0), 600: (0.14, 2.5), 1500: (0.09, 2.0)}
"""Grit to (RMS scattering angle [degree], RMS phase [rad]): modelling choices, see :func:`effective_grit`."""


@dataclass(frozen=True)
class ThinDiffuser:
    """Thin phase screen with a Gaussian autocorrelation ``sigma_phi**2 * exp(-r**2 / correlation_length**2)``.

    Args:
        sigma_phi: RMS phase [rad].
        correlation_length: 1/e radius of the phase's autocorrelation [m].
    Raises:
        ValueError: if ``sigma_phi`` is negative or ``correlation_length`` is not positive.
    Source: Goodman, Speckle Phenomena in Optics (2007), section 4.5.1 (surface scattering). Differs: nothing.
    """

    sigma_phi: float
    correlation_length: float

    def __post_init__(self) -> None:
        if not self.sigma_phi >= 0:
            raise ValueError(f"sigma_phi is an RMS phase in rad and cannot be negative, got {self.sigma_phi}.")
        if not self.correlation_length > 0:
            raise ValueError(f"correlation_length must be a positive length in m, got {self.correlation_length}.")

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
        self, count: int, shape: tuple[int, int], pitch: float, generator: torch.Generator
    ) -> Float[Tensor, "n h w"]:
        """Draw ``count`` independent phase screens [rad] of ``shape`` at sample spacing ``pitch`` [m].

        Source: spectral method; white noise filtered by the root of the power spectrum exp(-(pi l f)^2).
            Differs: the screen is periodic on the grid; its variance is exact in expectation.
        """
        height, width = shape
        device = generator.device
        fy = torch.fft.fftfreq(height, pitch, device=device)[:, None]
        fx = torch.fft.fftfreq(width, pitch, device=device)[None, :]
        amplitude = torch.exp(-((math.pi * self.correlation_length) ** 2) * (fy**2 + fx**2) / 2)
        scale = self.sigma_phi / amplitude.square().mean().sqrt()
        amplitude = amplitude[:, : width // 2 + 1]
        screens = torch.randn(count, height, width, generator=generator, device=device)
        for part in screens.split(fields_at_once(height * width, device)):
            part.copy_(torch.fft.irfft2(torch.fft.rfft2(part) * amplitude, s=shape) * scale)
        return screens


def effective_grit(grit: int, wavelength: float = 532e-9) -> ThinDiffuser:
    """The thin diffuser that stands for ground glass of a grit, its angle scaled down until a grid can sample it.

    Args:
        grit: 120, 220, 600 or 1500.
        wavelength: wavelength at which the angle and the RMS phase hold [m].
    Raises:
        ValueError: if the grit has no preset.
    Source: none. No trustworthy roughness per grit is published, and literal ground glass (6 degree RMS) needs a pitch
        below 0.84 um; the order of the grits and the developed speckle are kept, the angles are modelling choices.
    """
    if grit not in EFFECTIVE_GRITS:
        raise ValueError(f"no effective diffuser for grit {grit}; there are {sorted(EFFECTIVE_GRITS)}.")
    degrees, sigma_phi = EFFECTIVE_GRITS[grit]
    length = wavelength * sigma_phi * math.sqrt(2) / (2 * math.pi * math.radians(degrees))
    return ThinDiffuser(sigma_phi, length)
