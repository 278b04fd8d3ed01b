"""Where the spectra lie that a twin predicts."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class SpectrumGrid:
    """Frequencies and lags of smoothed power spectra, as ``Spectra`` samples them.

    Args:
        size: height and width of a spectrum [px]; zero frequency at ``size // 2``.
        step: from one pixel to the next [cycles per camera px].
        lags: greatest lag that the smoothing keeps [camera px].
        floor: added to a spectrum before its log.
        windows: so many windows down and across.
        window: side of a window as a share of the frame.
        blocks: so many blocks of the small image down and across.
    """

    size: tuple[int, int]
    step: float
    lags: int
    floor: float
    windows: int
    window: float
    blocks: int

    def is_like(self, other: "SpectrumGrid") -> bool:
        """Whether another grid is the same but for the rounding of its step, which differs between machines."""
        return replace(self, step=other.step) == other and math.isclose(self.step, other.step, rel_tol=1e-5)

    def frequencies(self, axis: int) -> Float[Tensor, " p"]:
        """Of the pixels along an axis [cycles per camera px]."""
        return (torch.arange(self.size[axis]) - self.size[axis] // 2) * self.step

    def radius(self) -> Float[Tensor, "p q"]:
        """Distance of each pixel from zero frequency [cycles per camera px]."""
        return (self.frequencies(0)[:, None].square() + self.frequencies(1).square()).sqrt()

    def places(self) -> Float[Tensor, "k 2"]:
        """Middles of the windows, y and x; the frame reaches from -1 to 1."""
        edge = 1 - self.window
        return _lattice(torch.linspace(-edge, edge, self.windows) if self.windows > 1 else torch.zeros(1))

    def block_places(self) -> Float[Tensor, "m 2"]:
        """Middles of the blocks, y and x; the frame reaches from -1 to 1."""
        return _lattice((2 * torch.arange(self.blocks) + 1) / self.blocks - 1)

    def transform(self, tapered: Float[Tensor, "*b y x"]) -> Float[Tensor, "*b p q"]:
        """Cosine transform of correlations at lags y from -lags to lags and x from 0 to lags, which are symmetric."""
        y = torch.arange(-self.lags, self.lags + 1)
        x = torch.arange(self.lags + 1)
        twice = 2 - (x == 0).to(tapered)
        down, across = (2 * math.pi * self.frequencies(axis)[:, None] * lag for axis, lag in ((0, y), (1, x)))
        return down.cos() @ tapered @ (across.cos() * twice).T - down.sin() @ tapered @ (across.sin() * twice).T

    def taper(self) -> Float[Tensor, "y x"]:
        """What the smoothing leaves of each lag."""
        y, x = torch.arange(-self.lags, self.lags + 1), torch.arange(self.lags + 1)
        return (-2 * (y[:, None] ** 2 + x**2) / self.lags**2).exp()


def _lattice(line: Float[Tensor, " n"]) -> Float[Tensor, "m 2"]:
    return torch.cartesian_prod(line, line)
