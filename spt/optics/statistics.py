"""First- and second-order statistics of speckle: what a recorded or simulated pattern says about itself."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CHUNK = 16


ENVELOPE = 1 / 8
"""Width of the average that tells illumination from grains, as a share of the frame."""


def contrast(intensity: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b"]:
    """Speckle contrast of each frame, standard deviation over mean; 1 when fully developed; 0 for a dark frame.

    Source: Goodman, Speckle Phenomena in Optics (2007), eq. (3-19). Differs: the value 0 of a dark frame.
    """
    mean = intensity.mean((-2, -1))
    return torch.where(mean > 0, intensity.std((-2, -1)) / mean.clamp(min=torch.finfo(mean.dtype).tiny), 0.0)


def envelope(intensity: Float[Tensor, "*b h w"], sigma: float) -> Float[Tensor, "*b h w"]:
    """Slowly varying mean of each frame: a Gaussian average of ``sigma`` px over what lies inside the frame.

    Source: normalised convolution, Knutsson & Westin, CVPR (1993). Differs: every pixel has the certainty 1.
    """
    rows, columns = (_averaging(n, sigma, intensity) for n in intensity.shape[-2:])
    return rows @ intensity @ columns.T


def illumination(mean: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Smooth part of a mean frame: what is left when the grains are averaged away.

    Source: twicing, Tukey, Exploratory Data Analysis (1977): what a first average missed, a second one of the quotient
        finds. Differs: a quotient instead of a difference.
    """
    sigma = ENVELOPE * min(mean.shape)
    first = envelope(mean, sigma)
    return first * envelope(mean / first, sigma)


def _averaging(samples: int, sigma: float, like: Tensor) -> Float[Tensor, "n n"]:
    at = torch.arange(samples, dtype=like.dtype, device=like.device)
    weights = torch.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)


def autocorrelation(intensity: Float[Tensor, "n h w"], reach: int) -> Float[Tensor, "lags lags"]:
    """Normalised autocovariance of the intensity, averaged over frames, zero lag in the middle and equal to 1.

    Each frame's mean is removed, zeros are added so that nothing wraps round, and every lag is divided by the number
    of pixel pairs that have it, so that a larger frame gives the same curve with less scatter. Constant frames count
    for nothing.

    Args:
        intensity: frames.
        reach: greatest lag [px]; at most half of the frame.
    Returns:
        (2 reach + 1, 2 reach + 1), lags -reach..reach along y and x [px].
    Raises:
        ValueError: if ``reach`` is not inside 1 .. half of the frame, or every frame is constant.
    Source: Wiener-Khinchin theorem; unbiased estimator, Goodman (2007), section 4.4. Differs: nothing.
    """
    height, width = intensity.shape[-2:]
    if not 1 <= reach <= min(height, width) // 2:
        raise ValueError(f"reach must lie between 1 and half of the {height}x{width} px frame, got {reach}.")
    padded = (height + reach, width + reach)
    power = torch.zeros(padded[0], padded[1] // 2 + 1, dtype=intensity.dtype, device=intensity.device)
    for part in intensity.split(CHUNK):
        power += torch.fft.rfft2(_unit(part), s=padded).abs().square().sum(0)
    y, x = (torch.arange(-reach, reach + 1, device=intensity.device) for _ in range(2))
    lags = torch.fft.irfft2(power, s=padded)[y[:, None], x]
    pairs = (height - y.abs())[:, None] * (width - x.abs())
    if lags[reach, reach] <= 0:
        raise ValueError("every frame is constant: there is no speckle to correlate.")
    return lags / lags[reach, reach] * (height * width / pairs)


def grain_size(correlation: Float[Tensor, "lags lags"]) -> tuple[float, float]:
    """Full width at half maximum of an autocorrelation along y and x [px]; infinite where it never falls to half.

    Between two lags the curve is taken for a Gaussian: exact for Gaussian pupils, and good for others where the grain
    is only a pixel wide.

    Args:
        correlation: as :func:`autocorrelation` returns it.
    Source: Goodman (2007), section 4.4. Differs: width at half maximum instead of the equivalent area.
    """
    middle = len(correlation) // 2
    return _width(correlation[middle:, middle]), _width(correlation[middle, middle:])


def _width(curve: Float[Tensor, " lags"]) -> float:
    below = (curve < 0.5).nonzero()
    if len(below) == 0:
        return math.inf
    k = int(below[0])
    # ln(curve) is linear in the lag squared; what has fallen below zero counts as almost zero.
    upper, lower = curve[k - 1].log().item(), curve[k].clamp(min=1e-3).log().item()
    share = (upper - math.log(0.5)) / (upper - lower)
    return 2 * math.sqrt((k - 1) ** 2 + share * (2 * k - 1))


def radial_spectrum(intensity: Float[Tensor, "n h w"]) -> tuple[Float[Tensor, " f"], Float[Tensor, " f"]]:
    """Power spectrum of the intensity fluctuations, averaged over frames and directions.

    A Hann window keeps the frame's edges from leaking along the axes; the mean is removed under that window. The
    power is that of a frame with variance 1, per bin; it sums to 1 over the plane, corners beyond Nyquist included.

    Returns:
        Spatial frequency [cycles/px], bins of 1 / side up to 0.5, and mean power of a bin.
    Source: Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967). Differs: one segment a frame; radial mean.
    """
    height, width = intensity.shape[-2:]
    hann = [torch.hann_window(n, False, dtype=intensity.dtype, device=intensity.device) for n in (height, width)]
    window = hann[0][:, None] * hann[1]
    power = torch.zeros(height, width, dtype=intensity.dtype, device=intensity.device)
    for part in intensity.split(CHUNK):
        mean = (part * window).sum((-2, -1), keepdim=True) / window.sum()
        power += torch.fft.fft2((part - mean) * window).abs().square().sum(0)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)).to(intensity.device)
    side = min(height, width)
    ring = (frequency * side).round().long().flatten()
    total = torch.bincount(ring, power.flatten()) / torch.bincount(ring).clamp(min=1)
    kept = torch.arange(side // 2 + 1, device=intensity.device)
    return kept / side, total[kept] / power.sum()


def ks_exponential(samples: Float[Tensor, " n"]) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of intensities from the negative exponential of their own mean, and its p value.

    Args:
        samples: independent intensities: more than a grain apart.
    Source: Kolmogorov's distribution; Goodman (2007), eq. (3-16). Differs: the mean is estimated from the samples,
        which makes p too large (the critical distance at 5 % is 1.08/sqrt(n), Lilliefors 1969, not 1.36/sqrt(n)).
    """
    return ks_gamma(samples, 1.0)


def ks_gamma(samples: Float[Tensor, " n"], order: float) -> tuple[float, float]:
    """Distance and p value of intensities from the gamma density of order M, the sum of M equal speckle patterns.

    Args:
        samples: independent intensities.
        order: M, not necessarily an integer; 1 / contrast^2 is its moment estimate.
    Raises:
        ValueError: if there are no samples or their mean is not positive.
    Source: Goodman (2007), eq. (4-135). Differs: the mean is estimated from the samples; p is asymptotic.
    """
    if len(samples) == 0 or not samples.mean() > 0:
        raise ValueError(f"{len(samples)} intensities with a positive mean are needed to compare with a density.")
    x = samples.double().sort().values
    n = len(x)
    expected = torch.special.gammainc(torch.full_like(x, order), (order * x / x.mean()).clamp(min=0))
    steps = torch.arange(n + 1, dtype=x.dtype, device=x.device) / n
    distance = torch.maximum((steps[1:] - expected).max(), (expected - steps[:-1]).max()).item()
    return distance, _kolmogorov(distance, n)


def _kolmogorov(distance: float, n: int) -> float:
    # Stephens (1970): good to a few percent from n = 5.
    t = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if t < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * t) ** 2) for k in range(1, 101))))


def correlation_matrix(first: Float[Tensor, "n h w"], second: Float[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    """Pearson correlation of every frame of ``first`` with every frame of ``second``; 0 where one is constant."""
    return _unit(first).flatten(1) @ _unit(second).flatten(1).T


def _unit(frames: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Remove each frame's mean and scale to norm 1; a constant frame becomes zero."""
    mean = frames.mean((-2, -1), keepdim=True)
    fluctuation = frames - mean
    norm = fluctuation.square().sum((-2, -1), keepdim=True).sqrt()
    # Relative to the level: what rounding leaves of a bright constant frame is no speckle.
    constant = norm <= 1e-6 * mean.abs() * math.sqrt(frames[0].numel())
    return (fluctuation / norm).masked_fill(constant, 0)


def hot_pixels(intensity: Float[Tensor, "n h w"], share: float = 0.75) -> int:
    """Count pixels that stand alone in a ``share`` of the frames: above twice their brightest neighbour plus the mean.

    A speckle grain sampled with 2 px or more is never as narrow as that, and a finer one stays in one place only as
    long as object and medium do.
    """
    alone = sum(_alone(part) for part in intensity.split(CHUNK))
    assert isinstance(alone, Tensor)
    return int((alone >= share * len(intensity)).sum())


def _alone(frames: Float[Tensor, "n h w"]) -> Float[Tensor, "h w"]:
    height, width = frames.shape[-2:]
    padded = F.pad(frames[:, None], (1, 1, 1, 1), value=-math.inf)[:, 0]
    steps = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    neighbour = padded[:, :height, :width].clone()
    for y, x in steps[1:]:
        torch.maximum(neighbour, padded[:, y : y + height, x : x + width], out=neighbour)
    return (frames > 2 * neighbour + frames.mean((-2, -1), keepdim=True)).float().sum(0)
