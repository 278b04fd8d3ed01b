"""What a twin leaves unexplained: speckle noise with the correlations of smoothed spectra, and measured residuals."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spt.optics.twin.grid import SpectrumGrid

RESIDUALS = 0.45
"""Amplitude of the measured residuals in the noise; the rest of its variance is drawn from the model."""

BIAS = 0.71
"""Amplitude of the diffusers' mean residuals in the noise of another diffuser."""

MOST = 1024
"""Residuals that are kept."""


class TwinNoise(nn.Module):
    """Random residuals of log spectra and of the small image, with the statistics of the measured ones.

    Only a part comes from the residuals themselves. A network would learn a small number of them by heart.

    Args:
        grid: of the spectra.
        statistics: as :func:`noise_statistics` finds them.
    """

    deviation: Float[Tensor, "k p q"]
    mixing: Float[Tensor, "k k"]
    small_deviation: Float[Tensor, "m m"]
    residuals: Tensor
    small_residuals: Tensor
    biases: Float[Tensor, "d k p q"]
    small_biases: Float[Tensor, "d m m"]
    mean: Float[Tensor, "k p q"]
    small_mean: Float[Tensor, "m m"]
    unit: Float[Tensor, "p q"]

    def __init__(self, grid: SpectrumGrid, statistics: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.grid = grid
        for name, value in statistics.items():
            self.register_buffer(name, value)

    def forward(self, rng: np.random.Generator) -> tuple[Float[Tensor, "k p q"], Float[Tensor, "m m"]]:
        """Draw the noise of one frame: of the log spectra, and of the log of the small image."""
        model = (1 - RESIDUALS**2) ** 0.5
        white = self.grid.transform(white_lags(self.grid, rng, len(self.mixing))) / self.unit
        speckle = torch.einsum("kc,cpq->kpq", self.mixing, white) * self.deviation
        angle = rng.uniform(0, 2 * math.pi)
        i, j = rng.integers(len(self.residuals), size=2)
        mixed, small = (
            math.cos(angle) * known[i].float() + math.sin(angle) * known[j].float()
            for known in (self.residuals, self.small_residuals)
        )
        grey = normal(rng, self.small_deviation.shape) * self.small_deviation
        of = normal(rng, (len(self.biases),)) * BIAS / len(self.biases) ** 0.5
        return (
            model * speckle + RESIDUALS * mixed + self.mean + torch.einsum("d,dkpq->kpq", of, self.biases),
            model * grey + RESIDUALS * small + self.small_mean + torch.einsum("d,dmn->mn", of, self.small_biases),
        )


def noise_statistics(
    grid: SpectrumGrid,
    spectra: Float[Tensor, "n k p q"],
    small: Float[Tensor, "n m m"],
    diffuser: Int[Tensor, " n"],
) -> dict[str, Tensor]:
    """What the noise is drawn with.

    Args:
        grid: of the spectra.
        spectra: measured less predicted log spectra.
        small: the same of the small image.
        diffuser: number of each diffuser, from 0.
    """
    of = [diffuser == number for number in range(int(diffuser.max()) + 1)]
    biases, small_biases = (torch.stack([values[rows].mean(0) for rows in of]) for values in (spectra, small))
    mean, small_mean = biases.mean(0), small_biases.mean(0)
    free, small_free = spectra - biases[diffuser], small - small_biases[diffuser]
    rows = (free / free.std(0)).movedim(1, 0).flatten(1)
    rows = rows[:, :: max(1, rows.shape[1] // 2**20)]
    correlation = rows @ rows.T / rows.shape[1]
    kept = torch.linspace(0, len(free) - 1, min(len(free), MOST)).long()
    plain = grid.transform(white_lags(grid, np.random.default_rng(0), 256))
    return {
        "deviation": free.std(0),
        "mixing": torch.linalg.cholesky(correlation + 1e-3 * torch.eye(len(rows))),
        "small_deviation": small_free.std(0),
        "residuals": free[kept].half(),
        "small_residuals": small_free[kept].half(),
        "biases": biases - mean,
        "small_biases": small_biases - small_mean,
        "mean": mean,
        "small_mean": small_mean,
        "unit": plain.square().mean(0).sqrt(),
    }


def white_lags(grid: SpectrumGrid, rng: np.random.Generator, count: int) -> Float[Tensor, "c y x"]:
    """White noise at the lags that the smoothing keeps."""
    taper = grid.taper()
    return normal(rng, (count, *taper.shape)) * taper


def normal(rng: np.random.Generator, shape: Sequence[int]) -> Tensor:
    """Numbers of mean 0 and standard deviation 1."""
    return torch.from_numpy(rng.standard_normal(tuple(shape), np.float32))
