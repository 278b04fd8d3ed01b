"""Propagation of scalar fields through free space."""

import math
from functools import lru_cache

import torch
from jaxtyping import Complex
from torch import Tensor


def propagate(
    field: Complex[Tensor, "*b h w"], distance: float, pitch: float, wavelength: float
) -> Complex[Tensor, "*b h w"]:
    """Propagate a scalar field through free space by the band-limited angular spectrum method.

    The grid is periodic: leave a guard band of zeros around the field.

    Args:
        field: complex field.
        distance: propagation distance [m]; negative back-propagates (the adjoint).
        pitch: sample spacing, equal along y and x [m].
        wavelength: wavelength in the medium [m].
    Returns:
        Field at ``distance`` on the same grid and of the same precision.
    Raises:
        ValueError: if ``pitch`` or ``wavelength`` is not positive or ``distance`` is not finite.
        TypeError: if ``field`` is not complex.
    Source: Matsushima & Shimobaba, Opt. Express 17, 19662 (2009), eq. (7) and (13)-(20). Differs: the guard band is
        the caller's; no padding is added here.
    """
    if not field.is_complex():
        raise TypeError(f"field must be complex, got {field.dtype}. Use field.to(torch.complex64).")
    height, width = field.shape[-2:]
    transfer = transfer_function(height, width, distance, pitch, wavelength, field.device, field.dtype)
    return torch.fft.ifft2(torch.fft.fft2(field) * transfer)


@lru_cache(maxsize=64)
def transfer_function(
    height: int,
    width: int,
    distance: float,
    pitch: float,
    wavelength: float,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.complex64,
) -> Complex[Tensor, "h w"]:
    """Band-limited transfer function of free space, in the order of ``torch.fft.fft2``.

    The phase is built in float64 and then cast: in float32 it would be wrong by 0.67 rad at half a metre.
    Evanescent waves decay with the distance in either direction. The result is cached: do not write into it.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        distance: propagation distance [m]; the function of ``-distance`` is the complex conjugate.
        pitch: sample spacing [m].
        wavelength: wavelength in the medium [m].
        device: where the result lies.
        dtype: complex type of the result.
    Raises:
        ValueError: if ``pitch`` or ``wavelength`` is not positive or ``distance`` is not finite.
    Source: Matsushima & Shimobaba (2009), eq. (7), (13)-(20). Differs: nothing.
    """
    if not (pitch > 0 and wavelength > 0):
        raise ValueError(f"pitch and wavelength must be positive lengths in m, got {pitch} and {wavelength}.")
    if not math.isfinite(distance):
        raise ValueError(f"distance must be finite, got {distance}.")
    # Leave inference mode: the cached tensor must also serve a later call that needs gradients.
    with torch.inference_mode(False):
        fy = torch.fft.fftfreq(height, pitch, dtype=torch.float64)[:, None]
        fx = torch.fft.fftfreq(width, pitch, dtype=torch.float64)[None, :]
        fz2 = wavelength**-2 - fy**2 - fx**2
        phase = 2 * math.pi * distance * fz2.clamp(min=0).sqrt()
        decay = torch.exp(-2 * math.pi * abs(distance) * (-fz2).clamp(min=0).sqrt())
        in_band = (fy.abs() <= band_limit(height, distance, pitch, wavelength)) & (
            fx.abs() <= band_limit(width, distance, pitch, wavelength)
        )
        return torch.polar(decay * in_band, phase).to(device=device, dtype=dtype)


def band_limit(samples: int, distance: float, pitch: float, wavelength: float) -> float:
    """Highest spatial frequency [1/m] whose transfer-function phase is sampled without aliasing on the grid.

    Source: Matsushima & Shimobaba (2009), eq. (13) with frequency spacing 1 / (samples * pitch). Differs: nothing.
    """
    return 1 / (wavelength * math.hypot(2 * distance / (samples * pitch), 1))
