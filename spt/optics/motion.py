"""What happens to the diffuser while one frame is exposed: it is replaced, or it moves."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue


@dataclass(frozen=True)
class IndependentPatterns:
    """A frame is the mean of ``count`` speckle patterns of independent diffusers: contrast 1/sqrt(count).

    Models partially coherent light: a diffuser that rotates fast, ``count`` uncorrelated modes of the source.

    Source: Goodman, Speckle Phenomena in Optics (2007), section 3.3.2. Differs: patterns of equal mean.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidValue(f"a frame needs at least 1 pattern, got {self.count}.")

    def draw(self, count: int, screens: Callable[[int], Tensor], pitch: float) -> Float[Tensor, "n p ..."]:
        """Draw ``count`` media of ``self.count`` patterns each; ``screens(n)`` draws ``n`` media."""
        return screens(count * self.count).unflatten(0, (count, self.count))


@dataclass(frozen=True)
class MovingDiffuser:
    """A frame is the mean over ``count`` positions of one diffuser that moves during the exposure.

    Args:
        count: positions.
        shift: step between positions along (y, x) [m].
        rotation: step between positions about the optical axis [rad].
    Raises:
        InvalidValue: if ``count`` is below 1, or ``shift`` is not a pair.
    Source: Goodman (2007), section 5.1. Differs: discrete positions.
    """

    count: int
    shift: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidValue(f"a moving diffuser needs at least 1 position, got {self.count}.")
        if len(self.shift) != 2:
            raise InvalidValue(f"shift must be two lengths along (y, x) in m, got {self.shift}.")

    def draw(self, count: int, screens: Callable[[int], Tensor], pitch: float) -> Float[Tensor, "n p ..."]:
        """Draw ``count`` media, each in ``self.count`` positions; ``screens(n)`` draws ``n`` media on ``pitch`` [m]."""
        first = screens(count)
        y, x = (step / pitch for step in self.shift)
        return torch.stack([moved(first, (k * y, k * x), k * self.rotation) for k in range(self.count)], 1)


def moved(screens: Float[Tensor, "*b h w"], shift: tuple[float, float], rotation: float = 0) -> Float[Tensor, "*b h w"]:
    """Turn periodic screens about the middle of the grid by ``rotation`` [rad], then shift them by (y, x) [px].

    Source: none; the shift is exact (Fourier), the rotation bicubic. Differs: what leaves the grid enters again on
        the other side.
    """
    if rotation:
        screens = _rotated(screens, rotation)
    if shift == (0, 0):
        return screens
    height, width = screens.shape[-2:]
    fy = torch.fft.fftfreq(height, device=screens.device, dtype=screens.dtype)[:, None]
    fx = torch.fft.rfftfreq(width, device=screens.device, dtype=screens.dtype)
    turn = -2 * math.pi * (fy * shift[0] + fx * shift[1])
    return torch.fft.irfft2(torch.fft.rfft2(screens) * torch.polar(torch.ones_like(turn), turn), s=(height, width))


def _rotated(screens: Float[Tensor, "*b h w"], angle: float) -> Float[Tensor, "*b h w"]:
    height, width = screens.shape[-2:]
    # A corner of the turned grid reaches at most half a diagonal from the middle.
    reach = math.hypot(height, width) / 2
    rows, columns = math.ceil(reach - height / 2) + 2, math.ceil(reach - width / 2) + 2
    wide = F.pad(screens.reshape(-1, 1, height, width), (columns, columns, rows, rows), mode="circular")
    y = torch.arange(height, dtype=screens.dtype, device=screens.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=screens.dtype, device=screens.device) - (width - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    from_x, from_y = (cos * x + sin * y) * 2 / wide.shape[-1], (cos * y - sin * x) * 2 / wide.shape[-2]
    grid = torch.stack([from_x, from_y], -1).expand(len(wide), -1, -1, -1)
    return F.grid_sample(wide, grid, mode="bicubic", align_corners=False).reshape(screens.shape)
