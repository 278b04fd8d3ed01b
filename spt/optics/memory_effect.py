"""How far a diffuser may be shifted, or its illumination tilted, before the speckle is another one."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spt.optics.draws import Generators
from spt.optics.media import ThickDiffuser, ThinDiffuser
from spt.optics.motion import moved
from spt.optics.propagation import propagate
from spt.optics.setup import phase_factor


def shift_law(diffuser: ThinDiffuser | ThickDiffuser, shift: float) -> float:
    """Correlation of two speckles when a diffuser moved sideways by ``shift`` [m].

    Source: squared modulus of the screen's characteristic function, exp(-2 sigma^2 [1 - C(shift)]); Goodman, Speckle
        Phenomena in Optics (2007), section 4.5. Differs: fully developed speckle; all slices of a thick diffuser move.
    """
    if isinstance(diffuser, ThickDiffuser):
        return _decorrelated(diffuser.slice, [shift] * diffuser.slices)
    return _decorrelated(diffuser, [shift])


def half_shift(diffuser: ThinDiffuser | ThickDiffuser) -> float:
    """The shift [m] that halves :func:`shift_law`; the correlation length where no shift does."""
    screen = diffuser.slice if isinstance(diffuser, ThickDiffuser) else diffuser
    lost = math.log(2) / max(2 * diffuser.rms_phase**2, 1e-12)
    return screen.correlation_length * (math.sqrt(-math.log(1 - lost)) if lost < 1 else 1.0)


def face_tilt_law(diffuser: ThinDiffuser | ThickDiffuser, angle: float) -> float:
    """Correlation of two speckles when the light turns by ``angle`` [rad] about the first face of a diffuser.

    The second speckle is shifted back by the angle times the distance from this face to the camera. A thin diffuser
    loses nothing.

    Source: as :func:`tilt_law`, with the reference plane on the first face, where the pattern of light stays in place.
    """
    if isinstance(diffuser, ThinDiffuser):
        return 1.0
    return _decorrelated(diffuser.slice, [angle * z for z in diffuser.positions])


def tilt_law(diffuser: ThickDiffuser, angle: float) -> float:
    """Correlation of two speckles when a plane wave turns by ``angle`` [rad], the second shifted back at best.

    Source: max over z_ref of exp(-2 sum_i sigma^2 [1 - C(angle (z_i - z_ref))]); Osnabrugge et al., Optica 4, 886
        (2017), for the best reference plane. Differs: discrete slices; z_ref is searched on 201 planes.
    """
    planes = [k / 200 * diffuser.thickness for k in range(201)]
    slices = diffuser.positions
    return max(_decorrelated(diffuser.slice, [angle * (z - plane) for z in slices]) for plane in planes)


def _decorrelated(diffuser: ThinDiffuser, shifts: Sequence[float]) -> float:
    lost = sum(1 - math.exp(-((shift / diffuser.correlation_length) ** 2)) for shift in shifts)
    return math.exp(-2 * diffuser.sigma_phi**2 * lost)


def simulated_shift(
    diffuser: ThinDiffuser,
    shifts: Sequence[float],
    grid: int,
    pitch: float,
    wavelength: float,
    distance: float,
    count: int,
    rng: Generators,
) -> Float[Tensor, "s n"]:
    """Correlation of speckles ``distance`` behind a diffuser moved along x, for each of ``shifts`` [m] and media.

    The grid is periodic and lit by a plane wave, so that the speckle is stationary.
    """
    screens = diffuser.draw(count, (grid, grid), pitch, rng)

    def speckle(shift: float) -> Tensor:
        phase = moved(screens, (0, shift / pitch))
        return propagate(phase_factor(phase), distance, pitch, wavelength).abs().square()

    still = speckle(0)
    return torch.stack([shifted_correlation(still, speckle(shift), 1)[:, 0] for shift in shifts])


def simulated_tilt(
    diffuser: ThickDiffuser,
    cycles: Sequence[int],
    grid: int,
    pitch: float,
    wavelength: float,
    distance: float,
    count: int,
    rng: Generators,
) -> Float[Tensor, "a n"]:
    """Best correlation over all shifts of speckles ``distance`` behind the last slice, straight and tilted light.

    Args:
        diffuser: the thick medium.
        cycles: tilts, as whole waves across the periodic grid: the angle is cycles * wavelength / (grid * pitch).
        grid: side of the grid [px].
        pitch: sample spacing [m].
        wavelength: wavelength [m].
        distance: last slice to the camera [m].
        count: media that are drawn.
        rng: source of the draw.
    """
    screens = diffuser.draw(count, (grid, grid), pitch, rng)

    def speckle(tilt: int) -> Tensor:
        ramp = 2 * math.pi * tilt / grid * torch.arange(grid, dtype=screens.dtype, device=screens.device)
        field = phase_factor(ramp).expand(count, grid, grid)
        for k in range(diffuser.slices):
            field = field * phase_factor(screens[:, k])
            step = diffuser.spacing if k + 1 < diffuser.slices else distance
            field = propagate(field, step, pitch, wavelength)
        return field.abs().square()

    straight = speckle(0)
    return torch.stack([shifted_correlation(straight, speckle(tilt)).amax(1) for tilt in cycles])


def shifted_correlation(
    first: Float[Tensor, "n h w"], second: Float[Tensor, "n h w"], fine: int = 16
) -> Float[Tensor, "n s"]:
    """Pearson correlation of image pairs at every cyclic shift of the second along x, in steps of 1 / ``fine`` px.

    Source: cross-correlation theorem; zeros appended to the spectrum interpolate exactly. Differs: nothing.
    """
    first, second = (image - image.mean((1, 2), keepdim=True) for image in (first, second))
    # Summed over fy, the cross-spectrum belongs to a shift along x alone.
    cross = (torch.fft.fft2(first).conj() * torch.fft.fft2(second)).sum(1)[:, : first.shape[2] // 2 + 1]
    if fine > 1 and first.shape[2] % 2 == 0:
        cross[:, -1] /= 2  # the highest frequency of an even line stands for two
    energy = first.norm(dim=(1, 2)) * second.norm(dim=(1, 2)) * first.shape[1]
    return torch.fft.irfft(cross, n=first.shape[2] * fine) * (fine / energy)[:, None]
