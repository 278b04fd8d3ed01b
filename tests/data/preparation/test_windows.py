"""Spectra and autocorrelations of windows: against direct sums, and what they do not depend on."""

import math

import pytest
import torch

from spt.data.preparation import Autocorrelation, Correction, Spectra
from spt.data.preparation.windows import derived_size, inside
from spt.errors import InvalidValue

BOTH = [Spectra, Autocorrelation]


def frames(count=6, side=16, seed=0):
    return 0.5 + torch.rand(count, side, side, generator=torch.Generator().manual_seed(seed))


def lagged(frame, dy, dx):
    """Autocovariance of a windowed frame at one lag, as the definition says."""
    side = len(frame)
    hann = torch.hann_window(side, periodic=False, dtype=torch.float64)
    weights = hann[:, None] * hann
    mean = (frame * weights).sum() / weights.sum()
    y = (frame / mean - 1) * weights
    return ((y * torch.roll(y, (-dy, -dx), (0, 1))).sum() / weights.square().sum()).item()


@pytest.mark.parametrize("side", [16, 15])
def test_spectra_are_direct_sums_over_lags(side):
    preparation = Spectra(1, 1, 1.0, 8, 0.3, lags=3, blocks=None)
    preparation.fit(frames(side=side), (8, 8))
    made = preparation.channels_of(frames(side=side)[:1, None])[0, 0]
    frame, lags = frames(side=side)[0].double(), range(-3, 4)
    for row, column in ((0, 0), (4, 4), (7, 1), (2, 6)):
        qy, qx = ((k - 4) * 0.6 / 8 for k in (row, column))
        total = sum(
            lagged(frame, dy, dx) * math.exp(-2 * (dy**2 + dx**2) / 9) * math.cos(2 * math.pi * (qy * dy + qx * dx))
            for dy in lags
            for dx in lags
        )
        assert made[row, column].item() == pytest.approx(math.log(max(total, 0) + 0.02), abs=1e-5)


@pytest.mark.parametrize("side", [16, 15])
def test_autocorrelations_are_direct_sums(side):
    preparation = Autocorrelation(1, 1, 1.0, [6, 8], 4.0, blocks=None)
    preparation.fit(frames(side=side), (6, 8))
    made = preparation.channels_of(frames(side=side)[:1, None])[0, 0]
    frame = frames(side=side)[0].double()
    expected = [[lagged(frame, dy, dx) for dx in range(-4, 4)] for dy in range(-3, 3)]
    torch.testing.assert_close(made.double(), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", BOTH)
def test_training_frames_have_mean_zero_and_spread_one_in_each_channel(kind):
    preparation = kind(windows=2, channels=5, blocks=4)
    preparation.fit(frames(40, 64), (28, 28))
    made = preparation(frames(40, 64)[:, None])
    assert made.shape == (40, 5, 32, 32)
    assert preparation.input_size((64, 64), (28, 28)) == (32, 32)
    torch.testing.assert_close(made.mean(0), torch.zeros(5, 32, 32), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.square().mean((0, 2, 3)), torch.ones(5), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", BOTH)
def test_the_exposure_changes_nothing(kind):
    preparation = kind()
    preparation.fit(frames(8, 64), (32, 32))
    speckle = frames(2, 64, seed=1)[:, None]
    torch.testing.assert_close(preparation(speckle), preparation(7 * speckle), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", BOTH)
def test_what_was_fitted_travels_without_the_frames(kind):
    settings = {"correction": Correction(flat="envelope"), "blocks": 8}
    fitted, other = kind(**settings), kind(**settings)
    fitted.fit(frames(8, 64), (32, 32))
    other.load_fitted(fitted.state_dict())
    assert torch.equal(other(frames(2, 64)[:, None]), fitted(frames(2, 64)[:, None]))
    assert other.describe((64, 64), (32, 32)) == fitted.describe((64, 64), (32, 32))


def test_each_window_is_a_channel_of_its_own():
    """What changes in the upper left quarter reaches one window of four, and the small image."""
    preparation = Spectra(5, 2, 0.5, 8, 0.4, blocks=2)
    preparation.fit(frames(8, 32), (8, 8))
    speckle = frames(1, 32, seed=1)
    changed = speckle.clone()
    changed[:, :16, :16] = changed[:, :16, :16].flip(1)[:, :, torch.randperm(16)]
    difference = (preparation(changed[:, None]) - preparation(speckle[:, None])).abs().amax((0, 2, 3))
    assert difference[0] > 0.1
    assert difference[1:].max() < 1e-4


def test_the_reach_is_found_where_the_spectrum_ends():
    """Noise without power above 0.2 cycles/px."""
    noise = torch.fft.rfft2(torch.randn(16, 64, 64, generator=torch.Generator().manual_seed(0)))
    radius = (torch.fft.fftfreq(64)[:, None] ** 2 + torch.fft.rfftfreq(64) ** 2).sqrt()
    speckle = 1 + 0.1 * torch.fft.irfft2(noise * (radius < 0.2))
    preparation = Spectra(windows=1, channels=1, blocks=None, window=1.0)
    preparation.fit(speckle, (32, 32))
    assert preparation.edge.item() == pytest.approx(0.2, abs=0.02)
    assert f"up to {preparation.edge:.3g} cycles/px" in preparation.describe((64, 64), (32, 32))


def test_the_reach_is_found_where_the_autocorrelation_ends():
    """Noise averaged over 5 x 5 px: an autocorrelation 4 px long."""
    noise = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    speckle = 10 + torch.nn.functional.avg_pool2d(noise, 5, 1, 2)[:, 0]
    preparation = Autocorrelation(windows=1, channels=1, blocks=None, window=1.0)
    preparation.fit(speckle, (32, 32))
    assert 3 <= preparation.edge.item() <= 6


def test_the_share_inside_a_radius_by_hand():
    assert inside(0.5, torch.tensor([1.0, 1.0, 2.0]), torch.tensor([0.0, 3.0, 2.0])) == 2.0
    assert inside(0.9, torch.tensor([1.0, 1.0, 2.0]), torch.tensor([0.0, 3.0, 2.0])) == 3.0


@pytest.mark.parametrize(
    ("image", "expected"), [((28, 28), (32, 32)), ((64, 64), (64, 64)), ((256, 256), (64, 64)), ((64, 28), (64, 32))]
)
def test_the_size_follows_the_object(image, expected):
    assert derived_size(image) == expected


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (Spectra, {"windows": 0}, "windows must be at least 1"),
        (Spectra, {"window": 0.0}, r"window must lie in \(0, 1\]"),
        (Spectra, {"reach": 0.6}, r"reach must lie in \(0, 0.5\] cycles/px or be null, got 0.6"),
        (Autocorrelation, {"reach": -1.0}, "px of lag or be null"),
        (Spectra, {"blocks": 0}, "blocks must be at least 1 or null"),
        (Spectra, {"channels": 9}, "channels follows from windows and blocks: 10, got 9"),
        (Autocorrelation, {"blocks": None}, "channels follows from windows and blocks: 9, got 10"),
        (Spectra, {"size": 31}, "size must be an even side"),
        (Spectra, {"size": [32, 32, 32]}, "size must be an even side"),
        (Spectra, {"lags": 0}, "lags must be at least 1 or null"),
        (Spectra, {"floor": 0.0}, "floor must be above 0"),
    ],
)
def test_bad_settings_are_refused(kind, settings, said):
    with pytest.raises(InvalidValue, match=said):
        kind(**settings)


def test_frames_that_are_too_small_are_refused_with_the_settings():
    with pytest.raises(InvalidValue, match=r"windows of 16 px give no channels of 32x32 px. Use larger frames"):
        Spectra().input_size((32, 32), (28, 28))


def test_equal_training_frames_are_refused():
    with pytest.raises(InvalidValue, match="training frames are all equal"):
        Spectra().fit(frames(1, 64).expand(8, -1, -1), (32, 32))


def test_frames_before_the_fit():
    with pytest.raises(RuntimeError, match="fit"):
        Spectra()(torch.rand(1, 1, 64, 64))
