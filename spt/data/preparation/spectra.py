"""Power spectra of windows of the frame.

The power spectrum of speckle is nearly the autocorrelation of the light on the diffuser, whatever the diffuser is. So
it survives a change of diffuser, while the grains do not.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.preparation.correction import Correction
from spt.data.preparation.geometry import Geometry
from spt.data.preparation.target import TargetPreparation
from spt.data.preparation.windows import SHARE, Windows, inside
from spt.errors import InvalidValue
from spt.optics.twin.grid import SpectrumGrid


class Spectra(Windows):
    """Log power spectra of windows, and the log of a small image of the frame; see :class:`Windows`.

    A spectrum is smoothed and sampled at the frequencies of a grid around zero. Smoothing multiplies the
    autocorrelation of the window by ``exp(-2 |lag|^2 / lags^2)``, cut at ``lags``. A channel is the log of ``floor`` +
    spectrum. Binning the frame loses the outer part of the spectrum.

    Args:
        channels, windows, window, size, blocks, correction, geometry, target: see :class:`Windows`.
        reach: frequency at the edge of the result's longer side [cycles/px]; None finds it in the training frames:
            inside lie 98 % of the speckle's power above the noise.
        lags: greatest distance of two pixels that are compared [px]; None for half of the inverse of the grid's step.
        floor: added to a spectrum before its log, in units of the spectrum of white noise of contrast 1.
    Raises:
        InvalidValue: if a value is out of range.
    Source: speckle spectra as autocorrelations of the source: Goodman, Speckle Phenomena in Optics (2007), chapter 4;
        Labeyrie, Astron. Astrophys. 6, 85 (1970). Differs: several windows, and the log.
    """

    unit, most = "cycles/px", 0.5

    def __init__(
        self,
        channels: int = 10,
        windows: int = 3,
        window: float = 0.5,
        size: int | Sequence[int] | None = None,
        reach: float | None = None,
        lags: int | None = None,
        floor: float = 0.02,
        blocks: int | None = 16,
        correction: Correction | None = None,
        geometry: Geometry | None = None,
        target: TargetPreparation | None = None,
    ) -> None:
        super().__init__(channels, windows, window, size, reach, blocks, correction, geometry, target)
        if lags is not None and lags < 1:
            raise InvalidValue(f"data.preparation.lags must be at least 1 or null, got {lags}.")
        if not floor > 0:
            raise InvalidValue(f"data.preparation.floor must be above 0, got {floor}.")
        self.lags, self.floor = lags, floor

    def own_settings(self) -> dict[str, Any]:
        """Those of the windows, lags and floor."""
        return {**super().own_settings(), "lags": self.lags, "floor": self.floor}

    def find_reach(self, power: Float[Tensor, "s f"]) -> float:
        """Frequency inside which most of the power above the noise lies, at most 0.5 [cycles/px]."""
        fy = torch.fft.fftfreq(power.shape[0], dtype=power.dtype)
        fx = torch.fft.rfftfreq(power.shape[0], dtype=power.dtype)
        radius = (fy[:, None].square() + fx.square()).sqrt()
        noise = power[radius > 0.6].mean()  # the corners: what lies there is noise, or folded back
        return inside(SHARE, (power - noise).clamp(min=0) * (radius <= self.most), radius)

    def kernels(self, pixels: int, step: float, side: int, vertical: bool) -> Float[Tensor, "2 p s"]:
        """A smoothing kernel around each frequency of the grid, and around its opposite."""
        frequency = (torch.arange(pixels, dtype=torch.float64) - pixels // 2) * step
        there = torch.fft.fftfreq(side, dtype=torch.float64)
        lags = self.kept_lags(step)
        lag = torch.arange(-lags, lags + 1, dtype=torch.float64)
        taper = (-2 * (lag / lags).square()).exp() / side
        terms = [torch.cos(2 * math.pi * (sign * frequency[:, None] - there)[..., None] * lag) for sign in (1, -1)]
        return torch.stack(terms) @ taper

    def kept_lags(self, step: float) -> int:
        """Greatest lag that the smoothing keeps [px], for a step of the grid [cycles/px]."""
        return self.lags or max(1, round(1 / (2 * step)))

    def grid(self) -> SpectrumGrid:
        """Where the spectra and the small image lie, once :meth:`fit` has found it."""
        assert self.edge is not None
        assert self.level is not None
        assert self.blocks is not None
        size = (self.level.shape[-2], self.level.shape[-1])
        step = 2 * float(self.edge) / max(size)
        return SpectrumGrid(size, step, self.kept_lags(step), self.floor, self.windows, self.window, self.blocks)

    def channel(self, sums: Float[Tensor, "b k p q"]) -> Float[Tensor, "b k p q"]:
        """The log, above the floor."""
        return (sums.clamp(min=0) + self.floor).log()
