"""The camera: exposure, noise laws, saturation and bit depth."""

import math

import numpy as np
import pytest
import torch

from spt.optics import Camera


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def electrons(camera: Camera, grey: torch.Tensor) -> torch.Tensor:
    return grey / (2**camera.bits - 1) * camera.saturation * camera.photoelectrons


def test_mean_grey_level_is_set_by_the_exposure():
    # The mean signal is a sixth of full well: 255 / 6 = 42.5.
    frames = Camera().expose(torch.full((4, 128, 128), 1e-7), seeded())
    assert frames.mean().item() == pytest.approx(42.5, rel=5e-3)


def test_every_frame_of_a_batch_is_exposed_alone():
    ramp = torch.rand(1, 64, 64)
    frames = Camera().expose(torch.cat([ramp, 1e3 * ramp, 1e-6 * ramp]), seeded(2))
    assert frames.mean((1, 2)).tolist() == pytest.approx([42.5] * 3, rel=0.02)


def test_shape_is_kept():
    assert Camera().expose(torch.rand(2, 1, 31, 48), seeded()).shape == (2, 1, 31, 48)


def test_dynamic_range_and_saturation():
    """A tenth of the pixels would reach 10x the mean: they clip at full well, 6x; dark ones stop at zero."""
    intensity = torch.zeros(100, 100)
    intensity[:10] = 1.0
    frame = Camera().expose(intensity, seeded(3))
    assert (frame[:10] == 255).all()
    assert frame[10:].min() == 0
    # Darkness holds read noise only: 2 electrons RMS, cut at zero; a grey level is 4.7 electrons.
    assert frame[10:].max() <= 2


@pytest.mark.parametrize("saturation", [2.0, 6.0])
def test_grey_levels_scale_with_full_well(saturation):
    frame = Camera(read_noise=0, saturation=saturation).expose(torch.ones(128, 128), seeded(4))
    assert frame.mean().item() == pytest.approx(255 / saturation, rel=0.01)


@pytest.mark.parametrize("bits", [1, 8, 12, 16])
def test_bit_depth(bits):
    ramp = torch.linspace(0, 20, 128**2).square().reshape(128, 128)
    frame = Camera(bits=bits, saturation=2.0).expose(ramp, seeded(5))
    assert torch.equal(frame, frame.round())
    assert frame.min() == 0
    assert frame.max() == 2**bits - 1


def test_eight_bits_use_every_level():
    ramp = torch.linspace(0, 1, 256**2).reshape(256, 256)
    assert len(Camera(saturation=1.9).expose(ramp, seeded(6)).unique()) == 256


@pytest.mark.parametrize("read_noise", [0.0, 10.0])
def test_photon_transfer(read_noise):
    """Variance against mean signal [electrons]: slope 1 is shot noise, the intercept read noise squared."""
    camera = Camera(photoelectrons=400.0, read_noise=read_noise, bits=16)
    levels = torch.linspace(0.2, 1.8, 9)
    frame = electrons(camera, camera.expose(levels[:, None].expand(9, 100_000), seeded(7)))
    mean, variance = frame.mean(1).double().numpy(), frame.var(1).double().numpy()
    assert mean == pytest.approx(400 * levels.numpy(), rel=0.01)
    slope, intercept = np.polyfit(mean, variance, 1)
    assert slope == pytest.approx(1, abs=0.02)
    assert intercept == pytest.approx(read_noise**2, abs=8)


def test_read_noise_alone():
    """Shot noise is 0.3 % of the variance here; the dark tail below zero is 7 sigma away."""
    camera = Camera(photoelectrons=20_000.0, read_noise=2_800.0, bits=16)
    frame = electrons(camera, camera.expose(torch.ones(256, 256), seeded(8)))
    assert frame.std().item() == pytest.approx(math.sqrt(2_800**2 + 20_000), rel=0.01)


def test_a_bright_noiseless_camera_is_linear():
    intensity = torch.rand(64, 64, dtype=torch.float64)
    camera = Camera(photoelectrons=1e12, read_noise=0, bits=16)
    frame = camera.expose(intensity, seeded(10))
    assert frame.dtype == torch.float64
    expected = intensity / intensity.mean() / 6 * 65535
    # Half a level of rounding, plus noise of 1e-6 of the signal.
    assert (frame - expected).abs().max() < 0.6


def test_noise_follows_the_generator_and_nothing_else():
    camera, intensity, before = Camera(), torch.rand(32, 32), torch.get_rng_state()
    first, second = (camera.expose(intensity, seeded(12)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, camera.expose(intensity, seeded(13)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "setting",
    [{"photoelectrons": 0.0}, {"read_noise": -1.0}, {"saturation": 0.0}, {"photoelectrons": math.nan}],
)
def test_refuses_settings_out_of_range(setting):
    with pytest.raises(ValueError, match="a camera needs photoelectrons > 0, read_noise >= 0 and saturation > 0"):
        Camera(**setting)


@pytest.mark.parametrize("bits", [0, 17])
def test_refuses_a_bit_depth_out_of_range(bits):
    with pytest.raises(ValueError, match=f"bits must lie between 1 and 16, got {bits}"):
        Camera(bits=bits)


def test_a_dark_frame_holds_read_noise_alone():
    camera = Camera(photoelectrons=100.0, read_noise=5.0, saturation=1.0, bits=12)
    frame = camera.expose(torch.zeros(1, 200, 200), seeded()) / 4095 * 100
    # Half of the Gaussian is clipped at zero: the mean of the rest is sigma / sqrt(2 pi).
    assert frame.mean().item() == pytest.approx(5.0 / (2 * math.pi) ** 0.5, rel=0.03)


# Pixels and binning


def test_a_pixel_records_the_mean_over_its_area():
    intensity = torch.rand(2, 6, 9)
    camera = Camera(pixel=1.5)
    assert camera.frame(9) == 6
    assert camera.irradiance(intensity).shape == (2, 4, 6)
    # The first pixel covers sample 0 and half of sample 1 along y, and the same along x.
    weights = torch.tensor([1, 0.5]) / 1.5
    expected = weights @ intensity[0, :2, :2] @ weights
    assert camera.irradiance(intensity)[0, 0, 0].item() == pytest.approx(expected.item())


def test_what_is_left_of_a_pixel_is_lost():
    camera = Camera(pixel=3.0, binning=2)
    assert camera.footprint == 6
    assert [camera.frame(n) for n in (5, 6, 11, 12, 64)] == [0, 1, 1, 2, 10]
    assert camera.expose(torch.rand(1, 64, 20), seeded(16)).shape == (1, 10, 3)


@pytest.mark.parametrize("pixel", [0.1, 0.3, 1.1])
def test_frames_count_whole_pixels_whatever_the_rounding(pixel):
    assert Camera(pixel=pixel).frame(33) == round(33 / pixel)


def test_binning_averages_grey_levels_and_their_noise():
    """Four pixels of 100 electrons and 10 of read noise: the noise of their mean is half of one pixel's."""
    one, four = Camera(100.0, 10.0, 6.0, 16), Camera(100.0, 10.0, 6.0, 16, binning=2)
    flat = torch.ones(1, 256, 256)
    single, binned = (electrons(c, c.expose(flat, seeded(17))) for c in (one, four))
    assert binned.shape == (1, 128, 128)
    assert single.std().item() == pytest.approx(math.sqrt(200), rel=0.02)
    assert binned.std().item() == pytest.approx(math.sqrt(200) / 2, rel=0.02)
    assert binned.mean().item() == pytest.approx(single.mean().item(), rel=1e-3)
    assert torch.equal(Camera(binning=2).expose(flat, seeded(18)) % 1, torch.zeros(1, 128, 128))


def test_a_large_pixel_blurs_the_speckle_before_the_noise():
    """Contrast of a random pattern of single samples falls by the side of the pixel: 1/2."""
    speckle = torch.empty(1, 512, 512).exponential_(generator=torch.Generator().manual_seed(19))
    light = Camera(pixel=2.0).irradiance(speckle)
    assert (light.std() / light.mean()).item() == pytest.approx(0.5, rel=0.03)


def test_the_standard_pixel_changes_no_bit():
    intensity = torch.rand(2, 16, 16)
    assert Camera().irradiance(intensity) is intensity


def test_gradients_of_the_irradiance():
    intensity = torch.rand(1, 5, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(Camera(pixel=1.25, binning=2).irradiance, intensity)


def test_refuses_a_pixel_larger_than_the_intensity():
    with pytest.raises(ValueError, match=r"recorded pixel of 8 samples is larger than the intensity, \(16, 7\)"):
        Camera(pixel=4, binning=2).expose(torch.ones(1, 16, 7), seeded())


@pytest.mark.parametrize("setting", [{"pixel": 0.0}, {"pixel": math.inf}, {"pixel": math.nan}, {"binning": 0}])
def test_refuses_no_pixel(setting):
    with pytest.raises(ValueError, match="a camera needs pixel > 0 and binning >= 1"):
        Camera(**setting)
