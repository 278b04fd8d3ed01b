"""The setup: object, free space, diffuser, free space, camera plane; and the numbers of the default set."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchoptics import Field

from spt.data.objects import GLYPHS, draw_object
from spt.optics import (
    GaussianBeam,
    IndependentPatterns,
    MovingDiffuser,
    ThickDiffuser,
    ThickDiffuserSetup,
    ThinDiffuser,
    ThinDiffuserSetup,
    propagate,
    select,
)
from spt.optics.motion import moved

WAVELENGTH = 532e-9
DEFAULT = ThinDiffuserSetup(
    window=64,
    grid=128,
    pitch=4e-6,
    wavelength=WAVELENGTH,
    object_distance=1e-3,
    camera_distance=3.3e-3,
    diffuser=ThinDiffuser(sigma_phi=2.92, correlation_length=33.1e-6),
)


class Periodic(ThinDiffuserSetup):
    """Lit up to the edge of the periodic grid, on purpose: without a vignette the patterns are stationary."""

    def validate(self, pixel: float = 1.0) -> None:
        """Nothing is refused."""


def periodic(**changed) -> Periodic:
    return Periodic(**{f.name: getattr(DEFAULT, f.name) for f in dataclasses.fields(DEFAULT)} | changed)


# Far enough that the speckle is fully developed.
STATIONARY = periodic(window=128, camera_distance=3.8e-3, diffuser=ThinDiffuser(2.92, 20e-6), object_bandwidth=1.0)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ripples(count: int) -> torch.Tensor:
    """A smooth object, periodic on 128 px, values in [0, 1]."""
    turn = torch.arange(128) / 128 * 2 * math.pi
    return (0.5 + 0.25 * torch.sin(3 * turn)[:, None] + 0.25 * torch.cos(5 * turn)).expand(count, -1, -1)


def one_pattern(screens: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"screens": screens[:, None]}


def pcc(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    first, second = (x - x.mean((-2, -1), keepdim=True) for x in (first, second))
    return (first * second).sum((-2, -1)) / (first.norm(dim=(-2, -1)) * second.norm(dim=(-2, -1)))


# The object


def test_phase_objects_are_lit_in_the_window_and_dark_outside():
    objects = torch.rand(2, 64, 64)
    field = DEFAULT.object_field(objects)
    assert field.shape == (2, 128, 128)
    window = field[:, 32:96, 32:96]
    torch.testing.assert_close(window.abs(), torch.ones(2, 64, 64))
    torch.testing.assert_close(window.angle(), math.pi * objects)
    assert field.abs().square().sum().item() == pytest.approx(2 * 64**2, rel=1e-5)


def test_amplitude_objects_are_the_field():
    objects = torch.rand(2, 64, 64)
    field = dataclasses.replace(DEFAULT, modulation="amplitude").object_field(objects)
    assert torch.equal(field[:, 32:96, 32:96], objects.to(torch.complex64))
    assert field.abs().sum().item() == pytest.approx(objects.sum().item(), rel=1e-5)


@pytest.mark.parametrize("modulation", ["phase", "amplitude"])
@pytest.mark.parametrize(("dtype", "expected"), [(torch.float32, torch.complex64), (torch.float64, torch.complex128)])
def test_precision_of_the_object_is_kept(modulation, dtype, expected):
    setup = dataclasses.replace(DEFAULT, modulation=modulation)
    assert setup.object_field(torch.zeros(1, 64, 64, dtype=dtype)).dtype == expected
    assert setup.intensity(torch.ones(1, 64, 64, dtype=dtype), setup.draw(1, seeded())).dtype == dtype


# The model


def test_the_default_set_stays():
    """Drawn and propagated as the sets on disk were, to rounding: screens first, one pattern, one cached distance."""
    objects, medium = drawn(3), DEFAULT.draw(3, seeded(20))
    screens = DEFAULT.diffuser.draw(3, (128, 128), 4e-6, seeded(20))
    assert torch.equal(medium["screens"][:, 0], screens)
    field = F.pad(torch.polar(torch.ones_like(objects), math.pi * objects), (32,) * 4)
    field = propagate(field, 1e-3, 4e-6, WAVELENGTH, stop=62.5e3) * torch.polar(torch.ones_like(screens), screens)
    expected = propagate(field, 3.3e-3, 4e-6, WAVELENGTH)[:, 32:96, 32:96].abs().square()
    torch.testing.assert_close(DEFAULT.intensity(objects, medium), expected, rtol=0, atol=1e-5)


def test_a_sample_does_not_depend_on_its_batch():
    objects, setup = drawn(5), dataclasses.replace(DEFAULT, averaging=IndependentPatterns(2))
    medium = setup.draw(5, seeded(21))
    together = setup.intensity(objects, medium)
    assert together.shape == (5, 64, 64)
    for k in range(5):
        one = setup.intensity(objects[k : k + 1], select(medium, slice(k, k + 1)))
        torch.testing.assert_close(together[k], one[0], rtol=0, atol=1e-5)


def test_screens_fill_the_grid():
    medium = DEFAULT.draw(48, seeded(1))
    assert list(medium) == ["screens"]
    screens = medium["screens"][:, 0]
    assert screens.shape == (48, 128, 128)
    assert screens.square().mean().sqrt().item() == pytest.approx(2.92, rel=0.04)
    # Eight pixels of 4 um are 0.967 correlation lengths.
    lagged = (screens * screens.roll(8, -1)).mean() / screens.square().mean()
    assert lagged.item() == pytest.approx(math.exp(-(0.967**2)), abs=0.04)


@pytest.mark.parametrize("modulation", ["phase", "amplitude"])
def test_without_a_diffuser_the_two_distances_add(modulation):
    setup = dataclasses.replace(DEFAULT, modulation=modulation, camera_distance=2.85e-3)
    objects = torch.zeros(1, 64, 64)
    objects[:, 20:40, 25:30] = 1
    expected = propagate(setup.object_field(objects), 3.85e-3, 4e-6, WAVELENGTH, stop=62.5e3).abs().square()
    actual = setup.intensity(objects, one_pattern(torch.zeros(1, 128, 128)))
    torch.testing.assert_close(actual, expected[:, 32:96, 32:96], atol=1e-5, rtol=1e-4)


def test_the_diffuser_stands_after_the_object_distance():
    """A parabolic screen is a lens: it images a point where 1/f = 1/z1 + 1/z2, upside down."""
    setup = periodic(window=128, modulation="amplitude", camera_distance=1.5e-3, object_bandwidth=1.0)
    x = (torch.arange(128) - 64) * 4e-6
    power = 1 / 1e-3 + 1 / 1.5e-3
    lens = -math.pi / WAVELENGTH * power * (x[:, None] ** 2 + x**2)
    point = torch.zeros(1, 128, 128)
    point[0, 64 - 8, 64 + 4] = 1
    image = setup.intensity(point, one_pattern(lens[None]))[0]
    assert divmod(image.argmax().item(), 128) == (64 + 12, 64 - 6)


def test_intensity_is_finite_and_not_negative():
    intensity = DEFAULT.intensity(torch.rand(4, 64, 64), DEFAULT.draw(4, seeded(3)))
    assert intensity.shape == (4, 64, 64)
    assert intensity.dtype == torch.float32
    assert intensity.isfinite().all()
    assert intensity.min() >= 0
    assert intensity.min() < 0.05 * intensity.mean()


def test_draws_follow_the_generator_and_nothing_else():
    before = torch.get_rng_state()
    assert torch.equal(DEFAULT.draw(2, seeded(6))["screens"], DEFAULT.draw(2, seeded(6))["screens"])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_medium_with_a_generator_of_its_own_depends_on_no_other():
    ranged = dataclasses.replace(DEFAULT, camera_distance=(1e-3, 2e-3), averaging=IndependentPatterns(2))
    together = ranged.draw(3, [seeded(k) for k in range(3)])
    for k in range(3):
        alone = ranged.draw(1, seeded(k))
        torch.testing.assert_close(together["screens"][k], alone["screens"][0], rtol=0, atol=1e-5)
        assert together["distance"][k] == alone["distance"][0]


# Distances, beams, averages, slices


def test_each_medium_has_its_own_distance():
    ranged = dataclasses.replace(DEFAULT, camera_distance=(1e-3, 2e-3))
    medium = ranged.draw(64, seeded(21))
    distance = medium["distance"]
    assert distance.dtype == torch.float64
    assert 1e-3 <= distance.min() < 1.1e-3
    assert 1.9e-3 < distance.max() <= 2e-3
    assert torch.equal(medium["screens"], DEFAULT.draw(64, seeded(21))["screens"])
    objects = drawn(3)
    light = ranged.intensity(objects, select(medium, slice(0, 3)))
    for k in range(3):
        fixed = dataclasses.replace(DEFAULT, camera_distance=distance[k].item())
        alone = fixed.intensity(objects[k : k + 1], {"screens": medium["screens"][k : k + 1]})
        torch.testing.assert_close(light[k : k + 1], alone, atol=1e-5, rtol=1e-4)


def test_a_beam_lights_the_middle_of_the_window():
    lit = dataclasses.replace(DEFAULT, illumination=GaussianBeam(60e-6))
    field = lit.object_field(torch.rand(1, 64, 64))[0].abs()
    assert field[64, 64].item() == pytest.approx(1, abs=0.01)
    # 15 samples of 4 um from the middle, at 1/e of the field.
    assert field[64, 64 + 15].item() == pytest.approx(math.exp(-((15.5 / 15) ** 2 + (0.5 / 15) ** 2)), rel=1e-3)
    assert field[:32].max() == 0


@pytest.mark.parametrize("count", [4, 16])
def test_contrast_of_averaged_patterns_falls_with_the_root_of_their_count(count):
    averaged = dataclasses.replace(STATIONARY, averaging=IndependentPatterns(count))
    light = averaged.intensity(ripples(2) * 0, averaged.draw(2, seeded(23)))
    contrast = (light.std((1, 2)) / light.mean((1, 2))).mean().item()
    assert contrast == pytest.approx(count**-0.5, rel=0.05)


def test_a_still_diffuser_averages_nothing():
    still = dataclasses.replace(DEFAULT, averaging=MovingDiffuser(3))
    objects = drawn(2)
    light = still.intensity(objects, still.draw(2, seeded(24)))
    torch.testing.assert_close(light, DEFAULT.intensity(objects, DEFAULT.draw(2, seeded(24))))


def test_a_moving_diffuser_averages_by_its_correlation():
    """Two positions 4 um apart: contrast^2 = (1 + c) / 2, c = .51 by the law of the shifted screen."""
    moving = dataclasses.replace(STATIONARY, averaging=MovingDiffuser(2, shift=(0.0, 4e-6)))
    light = moving.intensity(ripples(16) * 0, moving.draw(16, seeded(25)))
    alone = STATIONARY.intensity(ripples(16) * 0, STATIONARY.draw(16, seeded(25)))
    ratio = (light.var((1, 2)) / alone.var((1, 2))).mean().item()
    assert ratio == pytest.approx((1 + 0.512) / 2, abs=0.03)


def test_slices_are_crossed_in_turn():
    """Free space between the slices, none before the first: against the chain written out."""
    medium = ThickDiffuser(1.0, 20e-6, 3, 1e-3)
    thick = ThickDiffuserSetup(64, 160, 4e-6, WAVELENGTH, 1e-3, 2e-3, medium, object_bandwidth=1.0)
    drawn_media, objects = thick.draw(2, seeded(26)), drawn(2)
    assert drawn_media["screens"].shape == (2, 1, 3, 160, 160)
    field = propagate(thick.object_field(objects), 1e-3, 4e-6, WAVELENGTH)
    for k, step in enumerate((0.5e-3, 0.5e-3, 2e-3)):
        phase = drawn_media["screens"][:, 0, k]
        field = propagate(field * torch.polar(torch.ones_like(phase), phase), step, 4e-6, WAVELENGTH)
    torch.testing.assert_close(thick.intensity(objects, drawn_media), field[:, 48:112, 48:112].abs().square())


def test_free_space_of_the_chain_agrees_with_torchoptics():
    """Object, screen and camera in complex128, no guard band added: 1e-6 of the brightest pixel."""
    setup = dataclasses.replace(DEFAULT, object_bandwidth=1.0)
    objects, medium = drawn(1).double(), setup.draw(1, seeded(27))
    field = Field(setup.object_field(objects)[0], WAVELENGTH, spacing=4e-6)
    field = field.propagate_to_z(1e-3, propagation_method="ASM", asm_pad=0)
    phase = medium["screens"][0, 0].double()
    field = Field(field.data * torch.polar(torch.ones_like(phase), phase), WAVELENGTH, z=1e-3, spacing=4e-6)
    field = field.propagate_to_z(4.3e-3, propagation_method="ASM", asm_pad=0)
    expected = field.data[32:96, 32:96].abs().square()
    light = setup.intensity(objects, medium)[0]
    assert ((light - expected).abs().max() / expected.max()).item() < 1e-6


def test_select_gathers_every_tensor():
    medium = {"screens": torch.arange(6.0).reshape(3, 2), "distance": torch.arange(3.0)}
    chosen = select(medium, torch.tensor([2, 0, 2]))
    assert chosen["screens"].tolist() == [[4, 5], [0, 1], [4, 5]]
    assert chosen["distance"].tolist() == [2, 0, 2]


# Correlation laws


@pytest.mark.parametrize("shift_um", [2, 4, 6, 8])
def test_shifted_screen_decorrelates_by_its_structure_function(shift_um):
    """exp[-2 sigma^2 (1 - C(D))] within 0.05, where the speckle is fully developed.

    Measured 0.85 / 0.52 / 0.24 / 0.09 against 0.84 / 0.51 / 0.23 / 0.08. On the default set (caustic,
    vignetted) the correlation lies up to 0.17 above the law, which assumes circular Gaussian statistics.
    """
    screens = STATIONARY.draw(24, seeded(7))["screens"]
    shifted = moved(screens, (0, shift_um / 4))
    correlation = math.exp(-((shift_um / 20) ** 2))
    expected = math.exp(-2 * 2.92**2 * (1 - correlation))
    objects = ripples(24)
    first, second = (STATIONARY.intensity(objects, {"screens": s}) for s in (screens, shifted))
    measured = pcc(first, second).mean()
    assert measured.item() == pytest.approx(expected, abs=0.05)


def test_speckle_of_one_object_behind_independent_diffusers_is_uncorrelated():
    """Over 64 pairs, without the vignette that two patterns share (on the default set it gives 0.05)."""
    intensity = STATIONARY.intensity(ripples(128), STATIONARY.draw(128, seeded(8)))
    assert abs(pcc(intensity[:64], intensity[64:]).mean()) < 0.02


def test_speckle_of_one_diffuser_carries_the_object():
    """The same diffuser: patterns of like objects are alike, of unlike ones are not."""
    medium = select(DEFAULT.draw(1, seeded(9)), torch.zeros(3, dtype=torch.long))
    objects = torch.rand(3, 8, 8).repeat_interleave(8, 1).repeat_interleave(8, 2)
    objects[1] = (objects[0] + 0.02 * objects[1]).clamp(max=1)
    base, like, unlike = DEFAULT.intensity(objects, medium)
    assert pcc(base, like) > 0.99
    assert pcc(base, unlike) < 0.5


# The default set's numbers


def test_default_spread_and_ballistic_fraction():
    spread = DEFAULT.diffuser.scattering_angle(WAVELENGTH) * DEFAULT.camera_distance / DEFAULT.pitch
    assert spread == pytest.approx(8.72, abs=0.01)
    assert DEFAULT.diffuser.ballistic_fraction == pytest.approx(1.98e-4, rel=1e-2)
    assert DEFAULT.guard == 32
    assert DEFAULT.guard >= 2.5 * spread


def drawn(count: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.stack([draw_object(64, GLYPHS, 0.5, rng) for _ in range(count)])) / 255


def test_default_contrast_is_near_caustic():
    intensity = DEFAULT.intensity(drawn(48), DEFAULT.draw(48, seeded(11)))
    contrast = intensity.std((1, 2)) / intensity.mean((1, 2))
    assert contrast.mean().item() == pytest.approx(1.16, abs=0.05)


def test_default_energy_in_view():
    """The window, blurred by a Gaussian of the spread, keeps (1 - 2 s / (sqrt(2 pi) n))^2 = 0.794."""
    spread = DEFAULT.diffuser.scattering_angle(WAVELENGTH) * DEFAULT.camera_distance / DEFAULT.pitch
    expected = (1 - 2 * spread / (math.sqrt(2 * math.pi) * 64)) ** 2
    intensity = DEFAULT.intensity(torch.zeros(48, 64, 64), DEFAULT.draw(48, seeded(12)))
    assert intensity.sum((1, 2)).mean().item() / 64**2 == pytest.approx(expected, abs=0.02)


def test_amplitude_objects_keep_more_energy_in_view():
    """Glyphs and strokes are lit in the middle of the window only: 87 % reaches it, and the stop takes some 5 %."""
    setup, objects = dataclasses.replace(DEFAULT, modulation="amplitude"), drawn(48)
    intensity = setup.intensity(objects, setup.draw(48, seeded(13)))
    assert (intensity.sum() / objects.square().sum()).item() == pytest.approx(0.87, abs=0.03)


# Errors


@pytest.mark.parametrize(("window", "grid"), [(0, 128), (130, 128), (63, 128)])
def test_refuses_a_window_that_does_not_fit(window, grid):
    with pytest.raises(ValueError, match=f"window = {window} px must be at most grid = {grid} px"):
        dataclasses.replace(DEFAULT, window=window, grid=grid)


def test_refuses_an_unknown_modulation():
    with pytest.raises(ValueError, match="modulation must be 'phase' or 'amplitude', got 'colour'"):
        dataclasses.replace(DEFAULT, modulation="colour")


@pytest.mark.usefixtures("own_checks")
def test_refuses_objects_of_another_size():
    with pytest.raises(ValueError, match=r"objects must be 64x64 px, \(b, n, n\), got \(1, 64, 32\)"):
        DEFAULT.object_field(torch.zeros(1, 64, 32))


@pytest.mark.parametrize("lengths", [{"pitch": 0}, {"wavelength": -532e-9}, {"pitch": math.nan}])
def test_refuses_no_pitch_or_wavelength(lengths):
    with pytest.raises(ValueError, match="pitch and wavelength must be positive lengths"):
        dataclasses.replace(DEFAULT, **lengths)


@pytest.mark.parametrize(
    "distance", [-1e-3, math.nan, math.inf, (2e-3, 1e-3), (1e-3,), (1e-3, 2e-3, 3e-3), (-1e-3, 1e-3)]
)
def test_refuses_a_camera_distance_that_is_none(distance):
    with pytest.raises(ValueError, match=r"camera_distance must be lengths in m, or .* a range \(near, far\), got"):
        dataclasses.replace(DEFAULT, camera_distance=distance)


def test_refuses_an_object_behind_the_diffuser():
    with pytest.raises(ValueError, match=r"got -0\.001 and 0\.0033"):
        dataclasses.replace(DEFAULT, object_distance=-1e-3)
