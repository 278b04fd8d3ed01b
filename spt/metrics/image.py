"""Image metrics, one value an image: predictions and targets are (b, 1, h, w) in [0, 1]."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from spt.metrics.overlap import accuracy, dice, ji, precision, recall
from spt.precision import in_float64
from spt.shapes import same_shape

PSNR_CAP = 100.0
SSIM_WINDOW = 11
"""Side of SSIM's window in pixels: the least height and width of an image that all metrics can take."""
PIXELS_AT_ONCE = 2**17


def pcc(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Pearson correlation coefficient per image, in [-1, 1]; 0 where either image is constant, NaN where one has NaN.

    Raises:
        ValueError: if the shapes differ.
    Source: Pearson's r. Differs: the value 0 of a constant image, where r is undefined.
    """
    p, t = (x - x.mean(1, keepdim=True) for x in _pixels(pred, target))
    product = p.norm(dim=1) * t.norm(dim=1)
    return ((p * t).sum(1) / product.clamp(min=1e-12)).masked_fill(product <= 1e-12, 0.0)


def psnr(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio per image [dB] at data range 1, ``-10 log10(MSE)``, at most 100 dB.

    Raises:
        ValueError: if the shapes differ.
    Source: the notes, 图像质量评估, with MAX = 1. Differs: capped, so that a perfect image keeps the mean finite.
    """
    return (-10 * mse(pred, target).log10()).clamp(max=PSNR_CAP)


def mse(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean squared error per image.

    Raises:
        ValueError: if the shapes differ.
    Source: the notes, 图像质量评估.
    """
    p, t = _pixels(pred, target)
    return (p - t).square().mean(1)


def mae(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean absolute error per image.

    Raises:
        ValueError: if the shapes differ.
    Source: the definition.
    """
    p, t = _pixels(pred, target)
    return (p - t).abs().mean(1)


def ssim(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Structural similarity per image at data range 1: Gaussian window of sigma 1.5, 11x11, no border padding.

    Raises:
        ValueError: if the shapes differ or an image is smaller than the window.
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13, 600 (2004), eq. (13). Differs: nothing; equals
        scikit-image with gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.
    """
    same_shape(pred, target, "pred")
    return ssim_map(in_float64(pred), in_float64(target)).mean((1, 2, 3)).float()


def ssim_map(p: Float[Tensor, "b c h w"], t: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h-10 w-10"]:
    """Structural similarity around every pixel where the window fits, in the images' own precision.

    Raises:
        ValueError: if an image is smaller than the window.
    """
    if min(p.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs images of at least 11x11 px, got {tuple(p.shape[-2:])}.")
    blur = partial(filter_gaussian, sigma=1.5, radius=SSIM_WINDOW // 2)
    mu_p, mu_t = blur(p), blur(t)
    var_p, var_t, cov = blur(p * p) - mu_p**2, blur(t * t) - mu_t**2, blur(p * t) - mu_p * mu_t
    c1, c2 = 0.01**2, 0.03**2
    return (2 * mu_p * mu_t + c1) * (2 * cov + c2) / ((mu_p**2 + mu_t**2 + c1) * (var_p + var_t + c2))


def filter_gaussian(image: Float[Tensor, "b c h w"], sigma: float, radius: int) -> Float[Tensor, "b c h2 w2"]:
    """Correlate with a normalised Gaussian of ``sigma`` px cut at ``radius`` px, where the window fits: no padding."""
    window = [math.exp(-(at**2) / (2 * sigma**2)) for at in range(-radius, radius + 1)]
    window = [weight / sum(window) for weight in window]
    return _correlate(_correlate(image, window, -2), window, -1)


def _correlate(image: Tensor, window: list[float], axis: int) -> Tensor:
    """Sum shifted copies: on CPUs many times faster than a convolution of one channel in float64."""
    length = image.shape[axis] - len(window) + 1
    total = window[0] * image.narrow(axis, 0, length)
    for at, weight in enumerate(window[1:], 1):
        total.add_(image.narrow(axis, at, length), alpha=weight)
    return total


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "pcc": pcc,
    "ssim": ssim,
    "ji": ji,
    "psnr": psnr,
    "dice": dice,
    "mse": mse,
    "mae": mae,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
}

LOWER_IS_BETTER = frozenset({"loss", "mse", "mae", "ece"})
"""Logged values of which less is better; of every other metric more is."""


def per_image(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> dict[str, Float[Tensor, " b"]]:
    """Every metric of every image.

    Raises:
        ValueError: if the shapes differ or an image is smaller than the window of SSIM.
    """
    same_shape(pred, target, "pred")
    # Some images at a time: what is computed from them stays in the processor's cache, 3 times faster at 256 px.
    images = max(1, PIXELS_AT_ONCE // pred[0].numel())
    parts = list(zip(pred.split(images), target.split(images), strict=True))
    return {name: torch.cat([metric(p, t) for p, t in parts]).float() for name, metric in METRICS.items()}


def _pixels(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    same_shape(pred, target, "pred")
    return in_float64(pred).flatten(1), in_float64(target).flatten(1)
