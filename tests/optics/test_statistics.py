"""Speckle statistics against closed forms: developed speckle of a circular pupil, sums of patterns, known curves."""

import math

import pytest
import scipy.stats
import torch

from spt.optics.statistics import (
    autocorrelation,
    contrast,
    correlation_matrix,
    envelope,
    grain_size,
    hot_pixels,
    ks_exponential,
    ks_gamma,
    radial_spectrum,
)

SIDE, DIAMETER = 128, 32


def speckle(count: int, diameter: float = DIAMETER, side: int = SIDE, seed: int = 0) -> torch.Tensor:
    """Far field of a circular pupil with independent random phases, mean intensity 1."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.arange(side) - side // 2
    pupil = (torch.hypot(at[:, None].float(), at.float()) <= diameter / 2).float()
    phase = 2 * math.pi * torch.rand(count, side, side, generator=generator)
    intensity = torch.fft.fft2(torch.polar(pupil.expand_as(phase), phase)).abs().square()
    return intensity / pupil.sum()


def independent(frames: torch.Tensor) -> torch.Tensor:
    """Two grains apart."""
    return frames[:, ::8, ::8].flatten()


# First order


def test_developed_speckle_has_contrast_one():
    values = contrast(speckle(32))
    assert values.shape == (32,)
    assert values.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("patterns", [2, 5])
def test_contrast_and_density_of_patterns_added(patterns):
    frames = speckle(20 * patterns).unflatten(0, (20, patterns)).mean(1)
    assert contrast(frames).mean().item() == pytest.approx(patterns**-0.5, rel=0.03)
    samples = independent(frames)
    assert ks_gamma(samples, patterns)[1] > 0.01
    assert ks_exponential(samples)[1] < 1e-6


def test_contrast_by_hand_and_of_a_dark_frame():
    frames = torch.tensor([[[1.0, 3.0], [1.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(contrast(frames), torch.tensor([math.sqrt(4 / 3) / 2, 0.0]))


def test_developed_speckle_is_exponential():
    distance, p = ks_exponential(independent(speckle(20)))
    assert p > 0.01
    assert distance < 0.02


@pytest.mark.parametrize("order", [1.0, 2.5])
def test_distance_and_p_are_scipys(order):
    x = torch.distributions.Gamma(order, 1.0).sample((400,))
    expected = scipy.stats.kstest(x.numpy(), "gamma", args=(order, 0, x.double().mean().item() / order), method="asymp")
    distance, p = ks_gamma(x, order)
    assert distance == pytest.approx(expected.statistic, rel=1e-5)
    assert p == pytest.approx(expected.pvalue, rel=0.1)


def test_no_samples():
    with pytest.raises(ValueError, match="0 intensities with a positive mean are needed"):
        ks_exponential(torch.empty(0))
    with pytest.raises(ValueError, match="positive mean"):
        ks_exponential(torch.zeros(5))


# Envelope


def test_envelope_of_a_constant_is_the_constant_up_to_the_edge():
    torch.testing.assert_close(envelope(torch.full((2, 20, 31), 3.0), 4.0), torch.full((2, 20, 31), 3.0))


def test_envelope_of_a_plane_is_the_plane_inside():
    plane = torch.arange(64.0)[:, None] + 2 * torch.arange(64.0)
    inside = slice(16, 48)
    torch.testing.assert_close(envelope(plane, 3.0)[inside, inside], plane[inside, inside])


# Second order


def test_grain_of_a_circular_pupil():
    assert grain_size(autocorrelation(speckle(64), 16)) == pytest.approx([1.029 * SIDE / DIAMETER] * 2, rel=0.03)


def test_grain_of_an_elliptical_pupil_is_given_along_y_and_x():
    frames = torch.nn.functional.interpolate(speckle(64)[:, None], scale_factor=(1, 2), mode="bicubic")[:, 0]
    y, x = grain_size(autocorrelation(frames, 16))
    assert x / y == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("width", [1.2, 1.7, 3.0, 9.0])
def test_width_of_a_gaussian_is_exact_between_lags(width):
    at = torch.arange(-16.0, 17)
    curve = torch.exp(-4 * math.log(2) * (at[:, None] ** 2 + at**2) / width**2)
    assert grain_size(curve) == pytest.approx([width, width], rel=1e-4)


def test_a_curve_that_never_falls_to_half_has_no_width():
    assert grain_size(torch.ones(9, 9)) == (math.inf, math.inf)


def test_autocorrelation_of_noise_is_one_pixel():
    curve = autocorrelation(torch.randn(16, 60, 48, generator=torch.Generator().manual_seed(1)) + 5, 12)
    assert curve.shape == (25, 25)
    assert curve[12, 12].item() == pytest.approx(1)
    curve[12, 12] = 0
    assert curve.abs().max().item() < 0.03
    assert max(grain_size(curve + torch.eye(25)[12] * torch.eye(25)[12][:, None])) < 1


def test_autocorrelation_by_hand():
    """A row -1, 1, -1, 1: products of neighbours are -1, without wrapping round and without a loss at the edge."""
    frame = torch.tensor([-1.0, 1.0, -1.0, 1.0]).expand(1, 4, 4)
    torch.testing.assert_close(autocorrelation(frame, 2)[2], torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]))


def test_constant_frames_count_for_nothing():
    frames = speckle(4)
    torch.testing.assert_close(
        autocorrelation(torch.cat([frames, torch.full((3, SIDE, SIDE), 7.0)]), 8), autocorrelation(frames, 8)
    )


@pytest.mark.parametrize("reach", [0, 5])
def test_reach_must_fit_the_frame(reach):
    with pytest.raises(ValueError, match=f"reach must lie between 1 and half of the 8x9 px frame, got {reach}"):
        autocorrelation(torch.rand(2, 8, 9), reach)


def test_autocorrelation_of_constant_frames():
    with pytest.raises(ValueError, match="every frame is constant"):
        autocorrelation(torch.ones(2, 8, 8), 2)


def test_spectrum_of_a_wave_is_its_frequency():
    wave = torch.sin(2 * math.pi * 0.125 * torch.arange(64)).expand(1, 64, 64) + 3
    frequency, power = radial_spectrum(wave)
    assert frequency.tolist() == [k / 64 for k in range(33)]
    assert frequency[power.argmax()].item() == 0.125
    assert power[:5].max().item() < 1e-3 * power.max().item()


def test_spectrum_of_noise_is_flat_and_sums_to_one():
    noise = torch.randn(64, 48, 64, generator=torch.Generator().manual_seed(2))
    _, power = radial_spectrum(noise)
    torch.testing.assert_close(power[2:] * 48 * 64, torch.ones(len(power) - 2), rtol=0, atol=0.12)


def test_spectrum_of_speckle_ends_where_the_pupils_overlap_does():
    frequency, power = radial_spectrum(speckle(32))
    end = DIAMETER / SIDE
    assert power[frequency > end + 0.03].max() < 1e-4 * power[1]


# Between frames


def test_correlation_of_frames_by_hand():
    a = torch.tensor([[[0.0, 1.0], [2.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])
    b = torch.tensor([[[1.0, 3.0], [5.0, 7.0]], [[3.0, 2.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(correlation_matrix(a, b), torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_fields_that_share_a_part_correlate_with_its_square():
    """|<u1 u2*>|^2 of the fields is the correlation of the intensities (Siegert)."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(3, 200, 200, dtype=torch.complex64, generator=generator)
    share = 0.7
    first, second = (math.sqrt(share) * noise[0] + math.sqrt(1 - share) * noise[k] for k in (1, 2))
    matrix = correlation_matrix(first.abs().square()[None], second.abs().square()[None])
    assert matrix.item() == pytest.approx(share**2, abs=0.02)


def test_hot_pixels_are_counted_and_grains_are_not():
    frames = speckle(20)
    assert hot_pixels(frames) == 0
    frames[:, [5, 60, 0], [7, 9, 0]] = 40.0
    assert hot_pixels(frames) == 3
    frames[:6, 5, 7] = 0  # on in 14 of 20 frames only
    assert hot_pixels(frames) == 2
