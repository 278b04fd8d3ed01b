"""How the object is lit. A plane wave is no illumination at all: the field is 1."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue


@dataclass(frozen=True)
class GaussianBeam:
    """A collimated beam whose waist lies in the object's plane, on the optical axis.

    Args:
        waist: radius at which the intensity falls to 1/e^2 [m].
    Raises:
        InvalidValue: if ``waist`` is not positive.
    Source: Saleh & Teich, Fundamentals of Photonics, eq. (3.1-7) at z = 0. Differs: peak field 1.
    """

    waist: float

    def __post_init__(self) -> None:
        if not self.waist > 0:
            raise InvalidValue(f"waist must be a positive length in m, got {self.waist}.")

    def field(self, samples: int, pitch: float, like: Tensor) -> Float[Tensor, "n n"]:
        """Field on a square window of ``samples`` px, of the dtype and device of ``like``."""
        x = (torch.arange(samples, dtype=like.dtype, device=like.device) - (samples - 1) / 2) * pitch
        profile = torch.exp(-((x / self.waist) ** 2))
        return profile[:, None] * profile
