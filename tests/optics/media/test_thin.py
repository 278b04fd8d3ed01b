"""The thin diffuser: statistics of its phase, and the speckle laws that follow from them."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from spt.optics import ThinDiffuser, effective_grit, propagate

WAVELENGTH = 532e-9


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def speckle(screens: torch.Tensor, distance: float, pitch: float) -> torch.Tensor:
    """Intensity behind screens lit by a plane wave; the grid is periodic, so the pattern is stationary."""
    field = torch.polar(torch.ones_like(screens), screens)
    return propagate(field, distance, pitch, WAVELENGTH).abs().square()


def half_width(lags: np.ndarray, correlation: np.ndarray) -> float:
    """First lag where a normalised correlation falls to one half, by linear interpolation."""
    after = int(np.argmax(correlation < 0.5))
    return float(np.interp(0.5, correlation[[after, after - 1]], lags[[after, after - 1]]))


@pytest.fixture(scope="module")
def developed() -> torch.Tensor:
    """Sixteen fully developed patterns: sigma_phi = 3 and theta z = 9 l."""
    screens = ThinDiffuser(3.0, 8.5e-6).draw(16, (256, 256), 2e-6, seeded())
    return speckle(screens, 1.9e-3, 2e-6)


# The screen


@pytest.mark.parametrize("shape", [(128, 128), (96, 161), (127, 80)])
def test_screen_rms_and_autocorrelation(shape):
    """RMS sigma_phi, autocorrelation exp(-r^2 / l^2) along y, x and the diagonal."""
    sigma, length, pitch = 2.92, 20e-6, 4e-6
    screens = ThinDiffuser(sigma, length).draw(256, shape, pitch, seeded(1))
    assert screens.shape == (256, *shape)
    assert screens.square().mean().sqrt().item() == pytest.approx(sigma, rel=0.02)
    assert screens.mean().item() == pytest.approx(0, abs=0.1)
    spectrum = torch.fft.fft2(screens).abs().square().mean(0)
    correlation = torch.fft.ifft2(spectrum).real / math.prod(shape) / sigma**2
    for lag in range(12):
        expected = math.exp(-((lag * pitch / length) ** 2))
        assert correlation[lag, 0].item() == pytest.approx(expected, abs=0.04)
        assert correlation[0, lag].item() == pytest.approx(expected, abs=0.04)
        assert correlation[lag, lag].item() == pytest.approx(expected**2, abs=0.04)


def test_screens_of_one_draw_are_independent():
    screens = ThinDiffuser(1.0, 12e-6).draw(65, (128, 128), 4e-6, seeded(2)).flatten(1)
    assert (screens[:-1] * screens[1:]).mean().abs() < 0.02


def test_scattering_angle_by_hand():
    # 532 nm * 2.92 * sqrt 2 / (2 pi * 20 um) = 17.48 mrad = 1.0 degree.
    assert ThinDiffuser(2.92, 20e-6).scattering_angle(WAVELENGTH) == pytest.approx(17.482e-3, rel=1e-4)


def test_scattering_angle_is_the_rms_width_of_the_angular_spectrum():
    diffuser, pitch = ThinDiffuser(2.92, 20e-6), 4e-6
    screens = diffuser.draw(32, (160, 128), pitch, seeded(3))
    power = torch.fft.fft2(torch.polar(torch.ones_like(screens), screens)).abs().square().mean(0)
    for dim, samples in enumerate((160, 128)):
        angle = WAVELENGTH * torch.fft.fftfreq(samples, pitch)
        rms = ((power.sum(1 - dim) * angle**2).sum() / power.sum()).sqrt()
        assert rms.item() == pytest.approx(diffuser.scattering_angle(WAVELENGTH), rel=0.03)


@pytest.mark.parametrize(("sigma_phi", "expected"), [(0.5, 0.7788), (1.0, 0.3679), (1.5, 0.1054)])
def test_ballistic_fraction(sigma_phi, expected):
    """Share of a plane wave's power that stays in the plane wave, exp(-sigma_phi^2)."""
    diffuser = ThinDiffuser(sigma_phi, 12e-6)
    assert diffuser.ballistic_fraction == pytest.approx(expected, rel=1e-3)
    screens = diffuser.draw(64, (128, 128), 4e-6, seeded(4))
    unscattered = torch.polar(torch.ones_like(screens), screens).mean((1, 2)).abs().square().mean()
    assert unscattered.item() == pytest.approx(expected, rel=0.1)


def test_no_roughness_is_no_screen():
    assert ThinDiffuser(0, 20e-6).draw(2, (16, 16), 4e-6, seeded()).abs().max() == 0


# Speckle


def test_fully_developed_speckle_is_exponential(developed):
    """Contrast 1; Kolmogorov-Smirnov on samples 16 um apart, 4.8 grains, hence decorrelated."""
    contrast = developed.std((1, 2)) / developed.mean((1, 2))
    assert contrast.mean().item() == pytest.approx(1, abs=0.05)
    samples = (developed[:, ::8, ::8] / developed.mean()).flatten().numpy()
    assert stats.kstest(samples, "expon").pvalue > 0.01


@pytest.mark.parametrize("count", [4, 16])
def test_contrast_of_a_sum_falls_with_the_root_of_the_count(developed, count):
    mean = developed[:count].mean(0)
    assert (mean.std() / mean.mean()).item() == pytest.approx(count**-0.5, rel=0.05)


def test_grain_behind_a_plane_wave():
    """FWHM of the intensity's autocorrelation is 1.177 l / sigma_phi, fully developed (theta z = 4 l)."""
    sigma, length, pitch = 4.0, 10e-6, 1e-6
    screens = ThinDiffuser(sigma, length).draw(8, (512, 512), pitch, seeded(5))
    intensity = speckle(screens, 0.9e-3, pitch)
    power = torch.fft.fft2(intensity - intensity.mean()).abs().square().mean(0)
    # Zero padding of the spectrum interpolates the correlation exactly, 32 points a pixel.
    for line in (power.sum(0), power.sum(1)):
        lags = np.arange(0, 16, 1 / 32) * pitch
        waves = np.cos(2 * math.pi * lags[:, None] * np.fft.fftfreq(512, pitch))
        correlation = waves @ line.double().numpy()
        width = 2 * half_width(lags, correlation / correlation[0])
        assert width == pytest.approx(1.177 * length / sigma, rel=0.06)


def test_grain_behind_a_circular_aperture():
    """FWHM 1.029 wavelength z / D: (2 J1(x) / x)^2 is one half at x = 1.616. Rough to the last pixel."""
    grid, pitch, pixels = 256, 4e-6, 32
    distance = grid * pitch**2 / WAVELENGTH
    x = torch.arange(grid) - grid // 2 + 0.5
    aperture = (x[:, None] ** 2 + x**2 < (pixels / 2) ** 2).float()
    phase = torch.rand(96, grid, grid) * 2 * math.pi
    field = propagate(torch.polar(aperture.expand_as(phase), phase), distance, pitch, WAVELENGTH)
    intensity = field.abs().square()[:, 64:192, 64:192]
    lags, mean = np.arange(10), intensity.mean()
    along_x = [(intensity[..., : 128 - s] * intensity[..., s:]).mean() / mean**2 - 1 for s in lags]
    along_y = [(intensity[:, : 128 - s] * intensity[:, s:]).mean() / mean**2 - 1 for s in lags]
    correlation = np.array(along_x) + np.array(along_y)
    width = 2 * pitch * half_width(lags, correlation / correlation[0])
    assert width == pytest.approx(1.029 * WAVELENGTH * distance / (pixels * pitch), rel=0.03)


@pytest.mark.parametrize("cycles", [8, 24])
def test_tilt_memory_effect_of_a_thin_screen_is_infinite(cycles):
    """A tilt by theta shifts the pattern by z theta and leaves it alike (correlation > 0.97)."""
    grid, pitch = 256, 4e-6
    distance = grid * pitch**2 / WAVELENGTH / 2
    screens = ThinDiffuser(2.92, 20e-6).draw(4, (grid, grid), pitch, seeded(7))
    theta = WAVELENGTH * cycles / (grid * pitch)
    tilt = 2 * math.pi / WAVELENGTH * theta * pitch * torch.arange(grid)
    straight, tilted = (
        p - p.mean((1, 2), keepdim=True)
        for p in (speckle(screens, distance, pitch), speckle(screens + tilt, distance, pitch))
    )
    cross = torch.fft.ifft2(torch.fft.fft2(straight).conj() * torch.fft.fft2(tilted)).real
    correlation = cross / (straight.norm(dim=(1, 2)) * tilted.norm(dim=(1, 2)))[:, None, None]
    peak, at = correlation.flatten(1).max(1)
    assert peak.min() > 0.97
    assert at.tolist() == [round(distance * theta / pitch)] * 4
    assert correlation[:, 0, 0].abs().max() < 0.5


# Random numbers


def test_draws_follow_the_generator_and_nothing_else():
    diffuser, before = ThinDiffuser(2.0, 20e-6), torch.get_rng_state()
    first, second = (diffuser.draw(2, (32, 32), 4e-6, seeded(8)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, diffuser.draw(2, (32, 32), 4e-6, seeded(9)))
    assert torch.equal(torch.get_rng_state(), before)


# Errors


@pytest.mark.parametrize("sigma_phi", [-0.1, math.nan])
def test_refuses_a_negative_phase(sigma_phi):
    with pytest.raises(ValueError, match="sigma_phi is an RMS phase in rad and cannot be negative"):
        ThinDiffuser(sigma_phi, 20e-6)


@pytest.mark.parametrize("length", [0, -1e-6, math.nan])
def test_refuses_a_length_that_is_not_positive(length):
    with pytest.raises(ValueError, match="correlation_length must be a positive length"):
        ThinDiffuser(1.0, length)


# Effective grits


@pytest.mark.parametrize(
    ("grit", "degrees", "sigma_phi", "length_um"),
    [(120, 0.30, 3, 69), (220, 0.22, 3, 94), (600, 0.14, 2.5, 123), (1500, 0.09, 2, 152)],
)
def test_effective_grits(grit, degrees, sigma_phi, length_um):
    diffuser = effective_grit(grit)
    assert math.degrees(diffuser.scattering_angle(WAVELENGTH)) == pytest.approx(degrees)
    assert diffuser.sigma_phi == sigma_phi
    assert diffuser.correlation_length == pytest.approx(length_um * 1e-6, abs=0.6e-6)


def test_an_effective_grit_keeps_its_angle_at_another_wavelength():
    assert effective_grit(220, 633e-9).scattering_angle(633e-9) == pytest.approx(math.radians(0.22))


def test_spread_is_the_rms_radius_of_a_point():
    """A narrow beam on many screens, 4 mm behind: the second moment of the mean intensity, and its own width."""
    diffuser, pitch, distance = ThinDiffuser(2.0, 30e-6), 4e-6, 4e-3
    assert diffuser.spread(distance, WAVELENGTH) == pytest.approx(diffuser.scattering_angle(WAVELENGTH) * distance)
    x = (torch.arange(192) - 95.5) * pitch
    beam = torch.exp(-(x[:, None] ** 2 + x**2) / (80e-6) ** 2)
    screens = diffuser.draw(64, (192, 192), pitch, seeded(10))
    light = propagate(torch.polar(beam.expand_as(screens), screens), distance, pitch, WAVELENGTH).abs().square()
    rms = ((light.sum((0, 1)) * x**2).sum() / light.sum()).sqrt().item()
    # The beam alone: w / 2, grown by its own diffraction.
    alone = 40e-6 * math.hypot(1, distance * WAVELENGTH / (math.pi * (80e-6) ** 2))
    assert rms == pytest.approx(math.hypot(alone, diffuser.spread(distance, WAVELENGTH)), rel=0.05)


def test_refuses_a_grit_without_preset():
    with pytest.raises(ValueError, match=r"no effective diffuser for grit 80; there are \[120, 220, 600, 1500\]"):
        effective_grit(80)
