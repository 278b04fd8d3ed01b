"""Propagation of scalar fields through free space."""

import math
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

Method = Literal["angular_spectrum", "fresnel"]


def propagate(
    field: Complex[Tensor, "*b h w"],
    distance: float | Float[Tensor, "*d"],
    pitch: float,
    wavelength: float,
    method: Method = "angular_spectrum",
    stop: float = math.inf,
) -> Complex[Tensor, "*b h w"]:
    """Propagate a scalar field through free space by a band-limited transfer function.

    The grid is periodic: leave a guard band of zeros around the field.

    Args:
        field: complex field.
        distance: propagation distance [m]; negative back-propagates (the adjoint). A tensor holds one distance a
            field and is broadcast against the leading axes; a number is faster, its transfer function is cached.
        pitch: sample spacing, equal along y and x [m].
        wavelength: wavelength in the medium [m].
        method: ``angular_spectrum`` is exact; ``fresnel`` is its paraxial limit, for laws that hold there alone.
        stop: radius of an aperture in the frequency plane [1/m]; higher frequencies are blocked.
    Returns:
        Field at ``distance`` on the same grid and of the same precision.
    Raises:
        ValueError: if ``pitch`` or ``wavelength`` is not positive, ``distance`` is not finite or ``method`` is unknown.
        TypeError: if ``field`` is not complex.
    Source: Matsushima & Shimobaba, Opt. Express 17, 19662 (2009), eq. (7) and (13)-(20). Differs: the guard band is
        the caller's; no padding is added here.
    """
    if not field.is_complex():
        raise TypeError(f"field must be complex, got {field.dtype}. Use field.to(torch.complex64).")
    height, width = field.shape[-2:]
    light = (pitch, wavelength)
    if isinstance(distance, Tensor):
        transfer = transfer_functions(height, width, distance.to(field.device), *light, field.dtype, method, stop)
    else:
        transfer = transfer_function(
            height, width, distance, pitch, wavelength, field.device, field.dtype, method, stop
        )
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
    method: Method = "angular_spectrum",
    stop: float = math.inf,
) -> Complex[Tensor, "h w"]:
    """Transfer function of one distance, see :func:`transfer_functions`; cached: do not write into it."""
    # Leave inference mode: the cached tensor must also serve a later call that needs gradients.
    with torch.inference_mode(False):
        one = torch.tensor(distance, dtype=torch.float64)
        return transfer_functions(height, width, one, pitch, wavelength, dtype, method, stop).to(device)


def transfer_functions(
    height: int,
    width: int,
    distance: Float[Tensor, "*d"],
    pitch: float,
    wavelength: float,
    dtype: torch.dtype = torch.complex64,
    method: Method = "angular_spectrum",
    stop: float = math.inf,
) -> Complex[Tensor, "*d h w"]:
    """Band-limited transfer functions of free space, in the order of ``torch.fft.fft2``.

    The phase is built in float64 and then cast: in float32 it would be wrong by 0.67 rad at half a metre. It is even
    along both axes, so that a quarter of it is computed. Evanescent waves decay with the distance in either direction.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        distance: propagation distances [m]; the function of ``-distance`` is the complex conjugate.
        pitch: sample spacing [m].
        wavelength: wavelength in the medium [m].
        dtype: complex type of the result.
        method: ``angular_spectrum`` or ``fresnel``.
        stop: radius of an aperture in the frequency plane [1/m]; higher frequencies are blocked.
    Raises:
        ValueError: if ``pitch`` or ``wavelength`` is not positive, ``distance`` is not finite or ``method`` is unknown.
    Source: Matsushima & Shimobaba (2009), eq. (7), (13)-(20); Goodman, Introduction to Fourier Optics, eq. (4-20),
        for ``fresnel``. Differs: nothing.
    """
    if not (pitch > 0 and wavelength > 0):
        raise ValueError(f"pitch and wavelength must be positive lengths in m, got {pitch} and {wavelength}.")
    if not distance.isfinite().all():
        raise ValueError(f"distance must be finite, got {distance.tolist()}.")
    if method not in ("angular_spectrum", "fresnel"):
        raise ValueError(f"method must be 'angular_spectrum' or 'fresnel', got {method!r}.")
    z = distance.double()[..., None, None]
    fy, fx = (torch.arange(n // 2 + 1, dtype=torch.float64, device=z.device) / (n * pitch) for n in (height, width))
    f2 = fy[:, None] ** 2 + fx**2
    if method == "fresnel":
        quarter = torch.polar(torch.ones_like(z * f2), 2 * math.pi * z * (1 / wavelength - wavelength * f2 / 2))
    else:
        fz2 = wavelength**-2 - f2
        decay = torch.exp(-2 * math.pi * z.abs() * (-fz2).clamp(min=0).sqrt())
        quarter = torch.polar(decay, 2 * math.pi * z * fz2.clamp(min=0).sqrt())
    in_band = (fy[:, None] <= _limit(height, z, pitch, wavelength, method)) & (
        fx <= _limit(width, z, pitch, wavelength, method)
    )
    quarter = (quarter * in_band * (f2 <= stop**2)).to(dtype)
    return quarter.index_select(-2, _fold(height, z.device)).index_select(-1, _fold(width, z.device))


def _fold(samples: int, device: torch.device) -> Tensor:
    """Index of \\|f\\| among the frequencies from zero up, for every frequency in the order of the FFT."""
    k = torch.arange(samples, device=device)
    return torch.minimum(k, samples - k)


def _limit(samples: int, z: Tensor, pitch: float, wavelength: float, method: Method) -> Tensor:
    paraxial = samples * pitch / (2 * wavelength * z.abs())
    return paraxial if method == "fresnel" else 1 / torch.hypot(1 / paraxial, torch.full_like(z, wavelength))


def band_limit(samples: int, distance: float, pitch: float, wavelength: float) -> float:
    """Highest spatial frequency [1/m] whose transfer-function phase is sampled without aliasing on the grid.

    Source: Matsushima & Shimobaba (2009), eq. (13) with frequency spacing 1 / (samples * pitch). Differs: nothing.
    """
    z = torch.tensor(distance, dtype=torch.float64)
    return _limit(samples, z, pitch, wavelength, "angular_spectrum").item()
