"""The camera: from intensity to grey levels."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators, normal
from spt.optics.resampling import area_resampled


@dataclass(frozen=True)
class Camera:
    """Exposure, shot noise, read noise, saturation and quantisation.

    Every frame is exposed to the same mean signal, as an experimenter would set the exposure time.

    Args:
        photoelectrons: mean signal of a pixel [electrons].
        read_noise: RMS read noise [electrons].
        saturation: full well as a multiple of the mean signal.
        bits: bit depth of the output.
        pixel: pitch of a pixel, in samples of the intensity; a pixel records the mean over its area. On-chip binning
            is a larger pixel.
        binning: side of the square of pixels whose grey levels are averaged after they were read out.
    Raises:
        InvalidValue: if a setting is out of range.
    Source: EMVA 1288 linear camera model. Differs: Gaussian instead of Poisson shot noise (at 200 electrons the
        difference is below the read noise, and it is much faster); no dark current or fixed-pattern noise.
    """

    photoelectrons: float = 200.0
    read_noise: float = 2.0
    saturation: float = 6.0
    bits: int = 8
    pixel: float = 1.0
    binning: int = 1

    def __post_init__(self) -> None:
        if not (self.photoelectrons > 0 and self.read_noise >= 0 and self.saturation > 0):
            raise InvalidValue(
                f"a camera needs photoelectrons > 0, read_noise >= 0 and saturation > 0, got {self.photoelectrons}, "
                f"{self.read_noise}, {self.saturation}."
            )
        if not 1 <= self.bits <= 16:
            raise InvalidValue(f"bits must lie between 1 and 16, got {self.bits}.")
        if not (0 < self.pixel < math.inf and self.binning >= 1):
            raise InvalidValue(f"a camera needs pixel > 0 and binning >= 1, got {self.pixel} and {self.binning}.")

    @property
    def footprint(self) -> float:
        """Pitch of a recorded pixel, binning included, in samples of the intensity."""
        return self.pixel * self.binning

    def frame(self, samples: int) -> int:
        """Side of the recorded frame [px] of ``samples`` samples of intensity; what is left of a pixel is lost."""
        return int(samples / self.footprint + 1e-9)

    def irradiance(self, intensity: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        """Mean irradiance of every pixel before binning; differentiable.

        Raises:
            InvalidValue: if not one recorded pixel fits.
        """
        if self.footprint == 1:
            return intensity
        rows, columns = (self.frame(samples) * self.binning for samples in intensity.shape[-2:])
        if not rows * columns:
            raise InvalidValue(
                f"a recorded pixel of {self.footprint:g} samples is larger than the intensity, "
                f"{tuple(intensity.shape[-2:])}. Use a smaller pixel or binning."
            )
        return area_resampled(intensity, self.pixel, rows, columns)

    def expose(self, intensity: Float[Tensor, "*b h w"], rng: Generators) -> Float[Tensor, "*b p q"]:
        """Record ``intensity`` (any unit): grey levels 0 .. 2**bits - 1, as floats; a dark frame holds read noise.

        Args:
            intensity: one or several frames.
            rng: source of the noise: one generator, or one for each frame.
        """
        intensity = self.irradiance(intensity)
        mean = intensity.mean((-2, -1), keepdim=True)
        electrons = intensity / torch.where(mean > 0, mean, 1.0) * self.photoelectrons
        variance = electrons + self.read_noise**2
        noise = normal(rng, electrons.shape, electrons.device).to(electrons.dtype)
        full_well = self.saturation * self.photoelectrons
        signal = (electrons + variance.sqrt() * noise).clamp(0, full_well)
        grey = (signal / full_well * (2**self.bits - 1)).round()
        if self.binning == 1:
            return grey
        rows, columns = (side // self.binning for side in grey.shape[-2:])
        return area_resampled(grey, self.binning, rows, columns).round()
