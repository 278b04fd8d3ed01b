"""The twin: its parts against closed forms, its spectra against the wave optics, its fit on simulated frames."""

import math

import numpy as np
import pytest
import torch

from spt.data.preparation import Spectra
from spt.errors import InvalidValue, MissingFile
from spt.optics.twin import (
    Diffuser,
    Diffusers,
    FittedTwin,
    Measured,
    SpectrumGrid,
    Stage,
    Twin,
    TwinNoise,
    fit_twin,
    noise_statistics,
    open_twin,
    predicted,
    save_twin,
)
from spt.optics.twin.noise import white_lags

GRID = SpectrumGrid((16, 16), 0.03, 8, 0.02, 2, 0.5, 8)
SIDE = 12


def objects(count=6, seed=0):
    """Bright rectangles."""
    rng = np.random.default_rng(seed)
    made = torch.zeros(count, SIDE, SIDE)
    for image in made:
        for _ in range(2):
            y, x = rng.integers(1, 7, 2)
            h, w = rng.integers(2, 5, 2)
            image[y : y + h, x : x + w] = 1
    return made


def far_field(images, twin, pixels=192, screens=100, seed=0):
    """Speckles of the wave optics: the light on the diffuser times a random phase a sample, Fourier transformed.

    A camera pixel sees the plane wave of one frequency; g cycles a camera px for each object px make the grid.
    """
    from spt.optics.twin.model import FINE

    rng = np.random.default_rng(seed)
    intensity = twin.intensity(images, torch.zeros(len(images), 2)).double()
    u = (torch.arange(twin.field, dtype=torch.float64) - (twin.field - 1) / 2) / FINE
    at = torch.arange(pixels, dtype=torch.float64)
    pitch = twin.scale.detach().double().exp()
    down, across = (torch.polar(torch.ones(()).double(), 2 * math.pi * p * at[:, None] * u) for p in pitch)
    frames = []
    for one in intensity:
        phase = torch.from_numpy(rng.uniform(0, 2 * math.pi, (screens, *one.shape)))
        field = torch.polar(one.sqrt().expand_as(phase), phase)
        frames.append((down @ field @ across.T).abs().square())
    return torch.stack(frames)


def test_the_cosine_transform_is_a_sum_over_all_lags():
    lags = torch.randn(2 * GRID.lags + 1, GRID.lags + 1, generator=torch.Generator().manual_seed(0))
    lags[:, 0] = lags[:, 0] + lags[:, 0].flip(0)  # at x = 0 both halves are given
    made = GRID.transform(lags)
    for row, column in ((0, 0), (8, 8), (3, 12)):
        qy, qx = (row - 8) * 0.03, (column - 8) * 0.03
        total = 0.0
        for y in range(-8, 9):
            for x in range(-8, 9):
                value = lags[y + 8, x] if x >= 0 else lags[8 - y, -x]
                total += value.item() * math.cos(2 * math.pi * (qy * y + qx * x))
        assert made[row, column].item() == pytest.approx(total, abs=1e-4)


def test_spectra_agree_with_the_wave_optics_in_the_far_field():
    """The mean spectrum of many screens, within the noise that is left of them."""
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        twin.leak.fill_(-20.0)
        twin.noise.fill_(-20.0)
        twin.dark.fill_(-20.0)
        twin.distance.fill_(math.log(0.5))
        images = objects(2)
        wanted, _ = twin(images)
        preparation = Spectra(5, 2, 0.5, 16, 0.03 * 8, 8, 0.02, 8)
        frames = far_field(images, twin).float()
        preparation.set_grid((192, 192), (16, 16), 0.03 * 8)
        powers = torch.stack([preparation.channels_of(some[:, None])[:, :-1].exp().mean(0) for some in frames])
        pixel = (torch.sinc(GRID.frequencies(0))[:, None] * torch.sinc(GRID.frequencies(1))).square()
        # The camera of this simulation has points, not pixels.
        expected = (wanted.exp() - 0.02) / pixel
        measured = powers - 0.02
    centre = (GRID.radius() < 0.2) & (GRID.radius() > 0.02)  # a window's own mean is taken from it
    ratio = (measured[..., centre].mean(1) / expected[..., centre].mean(1)).log()
    assert ratio.abs().mean() < 0.1
    correlation = torch.corrcoef(torch.stack([measured[..., centre].flatten(), expected[..., centre].flatten()]))[0, 1]
    assert correlation > 0.98


def test_light_without_diffraction_is_that_of_the_object():
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        twin.distance.fill_(-30.0)
        twin.slope.fill_(math.log(40.0))
        twin.leak.fill_(-30.0)
        light = twin.intensity(objects(1), torch.zeros(1, 2))[0]
    room = (twin.field - 2 * SIDE) // 2
    inner = torch.nn.functional.avg_pool2d(light[None, room:-room, room:-room], 2)[0]
    assert torch.corrcoef(torch.stack([inner.flatten(), objects(1).flatten()]))[0, 1] > 0.98
    assert light[:2].max() < 1e-3


def test_diffraction_keeps_the_energy():
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        near = twin.intensity(objects(2), torch.zeros(2, 2)).sum()
        twin.distance.fill_(math.log(4.0))
        far = twin.intensity(objects(2), torch.zeros(2, 2)).sum()
    assert far.item() == pytest.approx(near.item(), rel=1e-4)


def test_a_shifted_object_has_the_same_spectra_where_the_light_is_even():
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        known = twin.mean_diffuser(2)
        moved = Diffuser(**{**vars(known), "shift": torch.tensor([[1.0, 0.0], [0.0, -1.0]])})
        torch.testing.assert_close(twin(objects(2), moved)[0], twin(objects(2))[0], atol=2e-2, rtol=0)
        assert (twin.intensity(objects(2), moved.shift) - twin.intensity(objects(2), known.shift)).abs().max() > 0.3


def test_a_shift_of_one_pixel_moves_the_light_by_as_much():
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        twin.distance.fill_(-30.0)
        twin.slope.fill_(1.0)  # soft edges: the shift is exact for them
        still = twin.intensity(objects(1), torch.zeros(1, 2))
        moved = twin.intensity(objects(1), torch.tensor([[1.0, -2.0]]))
    torch.testing.assert_close(moved, torch.roll(still, (2, -4), (1, 2)), atol=1e-4, rtol=0)


def test_the_transfer_is_that_of_square_pixels():
    twin = Twin(SIDE, GRID, 0.04)
    made = twin._transfer(twin.mean_diffuser(1))[0, 0]
    for row, column in ((8, 8), (0, 8), (3, 15)):
        y, x = (row - 8) * 0.03, (column - 8) * 0.03
        assert made[row, column].item() == pytest.approx((np.sinc(y) * np.sinc(x)) ** 2, abs=1e-6)


def test_the_light_of_a_window_is_the_mean_of_its_blocks():
    """Windows of half the frame: four quarters."""
    small = torch.ones(1, 8, 8)
    small[:, 4:] = 3.0
    small[:, :, 4:] *= 2.0
    assert Twin(SIDE, GRID, 0.04)._bright(small)[0].tolist() == pytest.approx([1, 2, 3, 6])


def test_a_wider_scale_is_a_greater_pitch():
    """A diffuser twice as far away, and a set-up with twice the pitch."""
    twin = Twin(SIDE, GRID, 0.02)
    known = twin.mean_diffuser(1)
    wide = Diffuser(**{**vars(known), "scale": torch.full((1, 2), math.log(2.0))})
    other = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():
        torch.testing.assert_close(twin(objects(1), wide)[0], other(objects(1))[0], atol=1e-4, rtol=0)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_gradients_are_those_of_small_steps(double):
    twin = Twin(SIDE, GRID, 0.04)
    images = objects(1)
    spectra, small = twin(images)
    (spectra.square().mean() + small.square().mean()).backward()
    for name in ("scale", "distance", "threshold"):
        value = getattr(twin, name)
        with torch.no_grad():
            losses = []
            for step in (1e-5, -2e-5):
                value.view(-1)[0] += step
                a, b = twin(images)
                losses.append((a.square().mean() + b.square().mean()).item())
            value.view(-1)[0] += 1e-5
        assert value.grad.view(-1)[0].item() == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-3)


def made_by(twin, count, noise=0.05, seed=0):
    """Pairs that a known twin made, with noise."""
    images = objects(count, seed)
    with torch.no_grad():
        spectra, small = predicted(twin, images)
    generator = torch.Generator().manual_seed(seed)
    spectra = spectra + noise * torch.randn(spectra.shape, generator=generator)
    return Measured(images, spectra, small, torch.arange(count) % 2)


def test_the_fit_finds_pitch_and_distance_of_a_known_set_up():
    true = Twin(SIDE, GRID, 0.035)
    with torch.no_grad():
        true.distance.fill_(math.log(2.0))
        true.light.copy_(-0.3 * torch.linspace(-1, 1, 28)[:, None].square().expand(28, 28))
    torch.manual_seed(0)
    found = Twin(SIDE, GRID, 0.045)
    fit_twin(found, made_by(true, 64), (Stage(1e-5, 0.03, 120, windows=False), Stage(1e-6, 0.01, 60, diffusers=True)))
    assert found.scale.detach().exp().tolist() == pytest.approx([0.035, 0.035], rel=0.03)
    assert found.distance.exp().item() == pytest.approx(2.0, rel=0.35)
    held_out = made_by(true, 16, 0.0, seed=1)
    assert (predicted(found, held_out.objects)[0] - held_out.spectra).square().mean() < 0.01


def test_a_fit_to_nan_is_refused():
    bad = made_by(Twin(SIDE, GRID, 0.035), 8)
    bad.spectra[:] = torch.nan
    with pytest.raises(InvalidValue, match="the fit of the twin does not converge"):
        fit_twin(Twin(SIDE, GRID, 0.035), bad, (Stage(1e-5, 0.01, 3),))


def noisy(seed=0, rows=40):
    """Residuals with the correlation of smoothed spectra, alike in the first two windows."""
    rng = np.random.default_rng(seed)
    made = torch.stack([GRID.transform(white_lags(GRID, rng, 4)) for _ in range(rows)])
    made[:, 1] = made[:, 0]
    return made / made.std() * torch.tensor([0.1, 0.1, 0.2, 0.3])[:, None, None]


def test_noise_has_the_spread_and_the_correlations_of_the_residuals():
    spectra = noisy()
    small = 0.1 * torch.randn(40, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = TwinNoise(GRID, noise_statistics(GRID, spectra, small, torch.arange(40) % 2))
    drawn = [noise(np.random.default_rng([k])) for k in range(200)]
    made, grey = torch.stack([one for one, _ in drawn]), torch.stack([one for _, one in drawn])
    spread = made.std((0, 2, 3)) / spectra.std((0, 2, 3))
    assert spread.min() > 0.8
    assert spread.max() < 1.25
    assert grey.std().item() == pytest.approx(0.1, rel=0.15)
    windows = torch.corrcoef(made.movedim(1, 0).flatten(1))
    assert windows[0, 1] > 0.9
    assert windows[0, 2].abs() < 0.2
    beside = torch.corrcoef(torch.stack([made[..., :-1].flatten(), made[..., 1:].flatten()]))[0, 1]
    known = torch.corrcoef(torch.stack([spectra[..., :-1].flatten(), spectra[..., 1:].flatten()]))[0, 1]
    assert beside.item() == pytest.approx(known.item(), abs=0.1)


def fitted():
    twin = Twin(SIDE, GRID, 0.035)
    statistics = noise_statistics(GRID, noisy(), torch.randn(40, 8, 8), torch.arange(40) % 2)
    return FittedTwin(twin, Diffusers(2, 4), TwinNoise(GRID, statistics), {"pairs": 40, "residual": 0.01})


def test_a_saved_twin_predicts_the_same(tmp_path):
    first = fitted()
    save_twin(tmp_path / "twin.h5", first)
    again = open_twin(tmp_path / "twin.h5")
    with torch.no_grad():
        assert torch.equal(again.twin(objects())[0], first.twin(objects())[0])
    a, b = (each.noise(np.random.default_rng(0))[0] for each in (first, again))
    assert torch.equal(a, b)
    assert again.facts == first.facts
    assert again.twin.grid == GRID


def test_a_file_that_is_no_twin_is_refused(tmp_path):
    with pytest.raises(MissingFile, match="Fit a twin first"):
        open_twin(tmp_path / "twin.h5")
    (tmp_path / "twin.h5").write_bytes(b"text")
    with pytest.raises(InvalidValue, match="cannot be read as a twin"):
        open_twin(tmp_path / "twin.h5")
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "spt speckle set"
    with pytest.raises(InvalidValue, match="is not a twin that this version"):
        open_twin(tmp_path / "other.h5")
