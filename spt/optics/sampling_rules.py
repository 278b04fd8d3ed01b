"""What the grid must resolve before a setup is simulated, and what makes a setup easy."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spt.errors import InvalidValue
from spt.optics.media import ThickDiffuser, ThinDiffuser

STEEPEST_STEP = 0.5
"""Rule 1: RMS phase step of the diffuser [rad] from one sample to the next.

At this limit a grid twice as fine gives the same camera image to within the shot noise of 200 electrons a pixel, where
light from the object fills half of the grid's bandwidth (``object_bandwidth``). See tests/optics/test_finer_grid.py.
"""

ROUNDING = 1e-9
"""A setting at its limit passes, whatever the last digit of a product."""


@dataclass(frozen=True)
class Finding:
    """A rule that a setup breaks.

    Args:
        rule: what must hold.
        value: what the setup has.
        limit: where the rule ends, in the unit of ``value``.
        unit: that unit.
        remedy: the nearest setting that works.
        refused: whether the setup is refused; otherwise it is only reported.
    """

    rule: str
    value: float
    limit: float
    unit: str
    remedy: str
    refused: bool

    def __str__(self) -> str:
        return f"{self.rule}: {self.value:.4g} {self.unit}, limit {self.limit:.4g} {self.unit}. {self.remedy}"


def refuse(findings: Iterable[Finding]) -> None:
    """Raise for the findings that no simulation may break.

    Raises:
        InvalidValue: with rule, value, limit and remedy of each.
    """
    refused = [str(finding) for finding in findings if finding.refused]
    if refused:
        raise InvalidValue("the optics cannot be sampled. " + " ".join(refused))


def diffuser_findings(
    window: int,
    grid: int,
    pitch: float,
    wavelength: float,
    distances: Sequence[float],
    camera_distances: tuple[float, float],
    diffuser: ThinDiffuser | ThickDiffuser,
    pixel: float = 1.0,
    allow_band_limited: bool = False,
) -> list[Finding]:
    """The rules that a diffuser setup breaks, those that refuse it first.

    Args:
        window: side of the object and of the camera [px].
        grid: side of the computational grid [px].
        pitch: sample spacing [m].
        wavelength: wavelength [m].
        distances: every length of free space that is simulated [m].
        camera_distances: nearest and farthest camera [m].
        diffuser: the medium.
        pixel: pitch of the camera's pixel, in samples of the grid.
        allow_band_limited: whether free space may be longer than the grid samples without cutting waves.
    Source: rules 1 to 3, sampling of a phase screen and of the transfer function (Voelz, Computational Fourier Optics,
        chapter 7; Matsushima & Shimobaba 2009); rules 4 and 5, grain and caustics, Goodman (2007), section 4.5.
        Differs: the constants are those at which the tested laws hold, and a finer grid changes nothing.
    """
    findings = [
        _screen(pitch, wavelength, diffuser),
        _free_space(grid, pitch, wavelength, distances, allow_band_limited),
        _guard(window, grid, pitch, wavelength, camera_distances[1], diffuser),
        _grain(window, pitch, wavelength, camera_distances[0], diffuser, pixel),
        _developed(wavelength, camera_distances[0], diffuser),
        _ballistic(diffuser),
    ]
    return [finding for finding in findings if finding]


def _screen(pitch: float, wavelength: float, diffuser: ThinDiffuser | ThickDiffuser) -> Finding | None:
    """Rule 1."""
    step = 2 * math.pi * diffuser.scattering_angle(wavelength) * pitch / wavelength
    if step <= STEEPEST_STEP * (1 + ROUNDING):
        return None
    excess = step / STEEPEST_STEP
    return Finding(
        "rule 1, RMS phase step of the diffuser between two samples",
        step,
        STEEPEST_STEP,
        "rad",
        f"Use correlation_length >= {_up(diffuser.correlation_length * excess)} m, sigma_phi <= "
        f"{_down(diffuser.sigma_phi / excess)} rad, or pitch <= {_down(pitch / excess)} m.",
        refused=True,
    )


def _free_space(
    grid: int, pitch: float, wavelength: float, distances: Sequence[float], allowed: bool
) -> Finding | None:
    """Rule 2."""
    longest, limit = max(abs(z) for z in distances), grid * pitch**2 / wavelength
    if longest <= limit * (1 + ROUNDING):
        return None
    enough = math.ceil(longest * wavelength / pitch**2 - ROUNDING)
    return Finding(
        "rule 2, longest distance in free space",
        longest,
        limit,
        "m",
        f"Use grid >= {enough + (enough - grid) % 2} px, a distance <= {_down(limit)} m, or allow_band_limited=true, "
        "which cuts the steepest waves.",
        refused=not allowed,
    )


def _guard(
    window: int, grid: int, pitch: float, wavelength: float, distance: float, diffuser: ThinDiffuser | ThickDiffuser
) -> Finding | None:
    """Rule 3."""
    guard, limit = (grid - window) / 2, 2 * diffuser.spread(distance, wavelength) / pitch
    if guard >= limit * (1 - ROUNDING):
        return None
    enough = math.ceil(limit - ROUNDING)
    smaller = f"a window <= {grid - 2 * enough} px, " if grid > 2 * enough else ""
    return Finding(
        "rule 3, guard band (grid - window) / 2 against twice the spread of the scattered light",
        guard,
        limit,
        "px",
        f"Use grid >= {window + 2 * enough} px, {smaller}or a shorter camera_distance.",
        refused=True,
    )


def _grain(
    window: int,
    pitch: float,
    wavelength: float,
    distance: float,
    diffuser: ThinDiffuser | ThickDiffuser,
    pixel: float,
) -> Finding | None:
    """Rule 4."""
    grain = expected_grain(window, pitch, wavelength, distance, diffuser) / (pixel * pitch)
    if grain >= 1:
        return None
    return Finding(
        "rule 4, speckle grain (FWHM) in pixels of the camera",
        grain,
        1.0,
        "px",
        f"Use a camera pixel (binning included) <= {_down(pixel * grain)} samples of the grid.",
        refused=True,
    )


def expected_grain(
    window: int, pitch: float, wavelength: float, distance: float, diffuser: ThinDiffuser | ThickDiffuser
) -> float:
    """FWHM [m] of the speckle grain: that of the scattering angle, or of the lit window where that is coarser.

    Source: 1.177 l / sigma_phi behind a plane wave, 1.029 wavelength z / D behind an aperture; Goodman (2007), section
        4.4. Differs: the larger of the two limits, no interpolation.
    """
    angle = diffuser.scattering_angle(wavelength)
    near = 1.177 * wavelength * math.sqrt(2) / (2 * math.pi * angle) if angle else math.inf
    return max(near, 1.029 * wavelength * distance / (window * pitch))


def _developed(wavelength: float, distance: float, diffuser: ThinDiffuser | ThickDiffuser) -> Finding | None:
    """Rule 5: a shallow screen, or a camera inside the caustics."""
    easy = "Easy: the speckle is caustic, and the object shows through."
    if diffuser.rms_phase < 2:
        remedy = f"{easy} Developed from a total RMS phase of 2 rad."
        return Finding("rule 5, RMS phase of developed speckle", diffuser.rms_phase, 2.0, "rad", remedy, refused=False)
    spread, limit = diffuser.spread(distance, wavelength), 2 * diffuser.correlation_length
    if spread >= limit:
        return None
    # An estimate for a thick medium, exact for a thin one.
    nearest = distance + (limit - spread) / diffuser.scattering_angle(wavelength)
    return Finding(
        "rule 5, spread of the scattered light at the nearest camera",
        spread,
        limit,
        "m",
        f"{easy} Developed from camera_distance >= {_up(nearest)} m.",
        refused=False,
    )


def _ballistic(diffuser: ThinDiffuser | ThickDiffuser) -> Finding | None:
    if diffuser.ballistic_fraction <= 0.01:
        return None
    return Finding(
        "ballistic light, unscattered share of the power",
        diffuser.ballistic_fraction,
        0.01,
        "of the power",
        "Easy: an unscattered image lies under the speckle. Less than 1 % from a total RMS phase of 2.15 rad.",
        refused=False,
    )


def _up(value: float) -> str:
    """Three digits, rounded so that the setting works."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / step - ROUNDING) * step:.3g}"


def _down(value: float) -> str:
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / step + ROUNDING) * step:.3g}"
