"""Incoherent imaging through a diffuser: within its memory effect, the object convolved with a speckle."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators
from spt.optics.illumination import GaussianBeam
from spt.optics.media import ThinDiffuser
from spt.optics.propagation import propagate
from spt.optics.sampling_rules import Finding, diffuser_findings
from spt.optics.setup import Medium, Setup, square_objects


class PointSpread(ABC):
    """Where point-spread functions come from: a simulated diffuser, files of a laboratory."""

    @property
    def measured(self) -> bool:
        """Whether the functions are a limited number of recorded ones."""
        return False

    @abstractmethod
    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Float[Tensor, "n k k"]:
        """Draw ``count`` point-spread functions, none negative, each of sum 1."""

    def report(self, pixel: float = 1.0) -> list[Finding]:
        """Sampling rules that the source breaks; none here."""
        return []


@dataclass(frozen=True)
class IncoherentSetup(Setup):
    """A self-luminous object seen through a diffuser: I = O * PSF, shift-invariant over the whole window.

    Args:
        window: side of objects and intensities [px], in the scale of the image.
        psf: where the point-spread functions come from.
    Raises:
        InvalidValue: if ``window`` is not positive, or the source breaks a sampling rule.
    Source: Katz et al., Nature Photonics 8, 784 (2014), eq. (1). Differs: the memory effect is taken as infinite; the
        object is dark outside the window; upright, where the real image is inverted.
    """

    window: int
    psf: PointSpread

    def __post_init__(self) -> None:
        if self.window < 1:
            raise InvalidValue(f"window must be at least 1 px, got {self.window}.")
        self.validate()

    def report(self, pixel: float = 1.0) -> list[Finding]:
        """Rules that the source of the point-spread functions breaks."""
        return self.psf.report(pixel)

    @property
    def measured(self) -> bool:
        """Whether the point-spread functions were measured."""
        return self.psf.measured

    @property
    def shift_invariant(self) -> bool:
        """The memory effect is infinite."""
        return True

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` independent media: ``psf`` (n, k, k)."""
        return {"psf": self.psf.draw(count, rng, device)}

    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Irradiance of self-luminous objects in [0, 1], each through its own medium."""
        square_objects(objects, self.window)
        psf = medium["psf"].to(objects.dtype)
        size = [self.window + k - 1 for k in psf.shape[-2:]]
        spectrum = torch.fft.rfft2(objects, s=size) * torch.fft.rfft2(psf, s=size)
        top, left = (k // 2 for k in psf.shape[-2:])
        image = torch.fft.irfft2(spectrum, s=size)[:, top : top + self.window, left : left + self.window]
        return image.clamp(min=0)  # the transform rounds darkness to +-1e-8


@dataclass(frozen=True)
class DiffuserPsf(PointSpread):
    """Simulated point-spread functions: a distant point behind a thin diffuser with a Gaussian aperture.

    Args:
        size: side of the functions [px], cut from the middle of the grid.
        grid: side of the computational grid [px].
        pitch: sample spacing [m].
        wavelength: wavelength of the narrow band that is seen [m].
        camera_distance: diffuser to camera [m].
        aperture: 1/e^2 radius of the transmitted intensity at the diffuser [m].
        diffuser: the medium's statistics.
    Raises:
        InvalidValue: if ``size`` does not fit the grid or ``aperture`` is not positive.
    Source: Goodman, Speckle Phenomena in Optics (2007), section 4.2. Differs: the point lies at infinity.
    """

    size: int
    grid: int
    pitch: float
    wavelength: float
    camera_distance: float
    aperture: float
    diffuser: ThinDiffuser

    def __post_init__(self) -> None:
        if not 0 < self.size <= self.grid:
            raise InvalidValue(f"size = {self.size} px must lie between 1 and grid = {self.grid} px.")
        GaussianBeam(self.aperture)

    def report(self, pixel: float = 1.0) -> list[Finding]:
        """Sampling rules, with the aperture's diameter as the lit window."""
        distance = (self.camera_distance, self.camera_distance)
        lit = round(2 * self.aperture / self.pitch)
        return diffuser_findings(
            lit, self.grid, self.pitch, self.wavelength, distance[:1], distance, self.diffuser, pixel
        )

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Float[Tensor, "n k k"]:
        """Draw ``count`` point-spread functions of independent diffusers."""
        screens = self.diffuser.draw(count, (self.grid, self.grid), self.pitch, rng, device)
        aperture = GaussianBeam(self.aperture).field(self.grid, self.pitch, screens)
        field = torch.polar(aperture.expand_as(screens), screens)
        light = propagate(field, self.camera_distance, self.pitch, self.wavelength).abs().square()
        start = (self.grid - self.size) // 2
        psf = light[:, start : start + self.size, start : start + self.size]
        return psf / psf.sum((1, 2), keepdim=True)
