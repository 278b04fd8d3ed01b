"""The camera: from intensity to grey levels."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """Exposure, shot noise, read noise, saturation and quantisation.

    Every frame is exposed to the same mean signal, as an experimenter would set the exposure time.

    Args:
        photoelectrons: mean signal of a frame [electrons].
        read_noise: RMS read noise [electrons].
        saturation: full well as a multiple of the mean signal.
        bits: bit depth of the output.
    Raises:
        ValueError: if a setting is out of range.
    Source: EMVA 1288 linear camera model. Differs: Gaussian instead of Poisson shot noise (at 200 electrons the
        difference is below the read noise, and it is much faster); no dark current or fixed-pattern noise.
    """

    photoelectrons: float = 200.0
    read_noise: float = 2.0
    saturation: float = 6.0
    bits: int = 8

    def __post_init__(self) -> None:
        if not (self.photoelectrons > 0 and self.read_noise >= 0 and self.saturation > 0):
            raise ValueError(
                f"a camera needs photoelectrons > 0, read_noise >= 0 and saturation > 0, got {self.photoelectrons}, "
                f"{self.read_noise}, {self.saturation}."
            )
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits must lie between 1 and 16, got {self.bits}.")

    def expose(self, intensity: Float[Tensor, "*b h w"], generator: torch.Generator) -> Float[Tensor, "*b h w"]:
        """Record ``intensity`` (any unit): grey levels 0 .. 2**bits - 1, as floats; a dark frame holds read noise."""
        mean = intensity.mean((-2, -1), keepdim=True)
        electrons = intensity / torch.where(mean > 0, mean, 1.0) * self.photoelectrons
        variance = electrons + self.read_noise**2
        noise = torch.randn(electrons.shape, generator=generator, device=generator.device, dtype=electrons.dtype)
        full_well = self.saturation * self.photoelectrons
        signal = (electrons + variance.sqrt() * noise).clamp(0, full_well)
        return (signal / full_well * (2**self.bits - 1)).round()
