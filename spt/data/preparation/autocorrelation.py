"""Autocorrelations of windows of the frame.

Behind a thin layer and in incoherent light, the autocorrelation of the speckle is nearly that of the object, whatever
the layer is: the speckle is the object convolved with a random pattern, whose own autocorrelation is one sharp peak.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.preparation.windows import SHARE, Windows, inside


class Autocorrelation(Windows):
    """Autocovariances of windows, and the log of a small image of the frame; see :class:`Windows`.

    A channel is the autocovariance of the window's contrast at the lags of a grid around zero, interpolated where the
    grid's step is no whole pixel.

    Args:
        channels, windows, window, size, blocks, correction, geometry, target: see :class:`Windows`.
        reach: lag at the edge of the result's longer side [px]; None finds it in the training frames: inside lie
            98 % of the autocovariance above its background, up to a quarter of the window.
    Raises:
        InvalidValue: if a value is out of range.
    Source: Bertolotti et al., Nature 491, 232 (2012); Katz et al., Nature Photonics 8, 784 (2014).
    """

    unit, most = "px of lag", 2.0**13

    def find_reach(self, power: Float[Tensor, "s f"]) -> float:
        """Lag inside which most of the positive autocovariance lies, at most a quarter of the window [px]."""
        side = power.shape[0]
        covariance = torch.fft.irfft2(power, s=(side, side))
        lag = torch.fft.fftfreq(side, 1 / side, dtype=power.dtype)
        radius = (lag[:, None].square() + lag.square()).sqrt()
        background = covariance[radius > 3 * side / 8].mean()
        return max(2.0, inside(SHARE, (covariance - background).clamp(min=0) * (radius <= side // 4), radius))

    def kernels(self, pixels: int, step: float, side: int, vertical: bool) -> Float[Tensor, "2 p s"]:
        """The waves of all frequencies: cos(a + b) is a difference of two products, and both half planes add alike."""
        lag = (torch.arange(pixels, dtype=torch.float64) - pixels // 2) * step
        phase = 2 * math.pi * lag[:, None] * torch.fft.fftfreq(side, dtype=torch.float64)
        waves = torch.stack([phase.cos(), phase.sin()]) / side
        return torch.stack([waves[0], -waves[1]]) if vertical else 2 * waves

    def channel(self, sums: Float[Tensor, "b k p q"]) -> Float[Tensor, "b k p q"]:
        """As they are."""
        return sums
