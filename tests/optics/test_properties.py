"""Properties over random settings: energy, sign, seeds, translation."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spt.optics import (
    DiffuserPsf,
    IncoherentSetup,
    RandomMatrixSetup,
    ThickDiffuser,
    ThickDiffuserSetup,
    ThinDiffuser,
    ThinDiffuserSetup,
    propagate,
)

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**32)
WAVELENGTH = 532e-9
THIN = ThinDiffuserSetup(64, 128, 4e-6, WAVELENGTH, 1e-3, 3.3e-3, ThinDiffuser(2.92, 33.1e-6), "amplitude")
THICK = ThickDiffuserSetup(64, 160, 4e-6, WAVELENGTH, 1e-3, 2e-3, ThickDiffuser(1.0, 20e-6, 3, 3e-3), "amplitude")
MATRIX = RandomMatrixSetup(32, 8, "amplitude")
INCOHERENT = IncoherentSetup(48, DiffuserPsf(95, 160, 4e-6, WAVELENGTH, 3e-3, 0.15e-3, ThinDiffuser(2.92, 34e-6)))
SETUPS = st.sampled_from([THIN, THICK, MATRIX, INCOHERENT])


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def objects_of(seed: int, count: int, window: int) -> torch.Tensor:
    """Random discs of light, some overlapping, values in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.arange(window, dtype=torch.float32)
    y, x, r = (torch.rand(count, 3, 1, 1, generator=generator) * scale for scale in (window, window, window / 3))
    disc = ((at[:, None] - y) ** 2 + (at - x) ** 2 < r**2).float()
    return (disc * torch.rand(count, 3, 1, 1, generator=generator)).amax(1)


@FEW
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(8, 48), st.integers(8, 48)),
    distance=st.floats(-20e-3, 20e-3),
    pitch=st.floats(0.3e-6, 10e-6),
    method=st.sampled_from(["angular_spectrum", "fresnel"]),
)
def test_energy_never_grows_in_free_space(seed, shape, distance, pitch, method):
    """Waves are kept, cut by the band limit or evanescent; none is amplified, backwards neither."""
    field = torch.randn(*shape, dtype=torch.complex64)
    assert propagate(field, distance, pitch, WAVELENGTH, method).norm() <= field.norm() * (1 + 1e-5)


@FEW
@given(setup=SETUPS, seed=SEEDS, medium=SEEDS)
def test_energy_never_grows_and_intensity_is_never_negative(setup, seed, medium):
    objects = objects_of(seed, 2, setup.window)
    light = setup.intensity(objects, setup.draw(2, seeded(medium)))
    assert light.min() >= 0
    # Amplitude objects carry their square; a random matrix shows the mean over each of its pixels, a self-luminous
    # object its own brightness.
    power = objects if setup is INCOHERENT else objects.square()
    assert (light.sum((1, 2)) <= power.sum((1, 2)) * (1 + 1e-3) + 1e-6).all()


@FEW
@given(setup=SETUPS, seed=SEEDS)
def test_the_same_seed_gives_the_same_bits(setup, seed):
    first, second = (setup.draw(1, seeded(seed)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    objects = objects_of(seed, 1, setup.window)
    assert torch.equal(setup.intensity(objects, first), setup.intensity(objects, second))


def pcc(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    first, second = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (first, second))
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_different_seeds_are_decorrelated(seed):
    """|mean PCC| < .02 over 64 pairs of speckles without a vignette, whatever the seeds.

    One pair of 128 px scatters by .015, their mean by .002: the bound is ten standard deviations away.
    """
    screens = ThinDiffuser(2.92, 20e-6).draw(128, (128, 128), 4e-6, [seeded(seed + k) for k in range(128)])
    light = propagate(torch.polar(torch.ones_like(screens), screens), 3.8e-3, 4e-6, WAVELENGTH).abs().square()
    assert pcc(light[:64], light[64:]).mean().abs() < 0.02


@FEW
@given(
    seed=SEEDS,
    medium=SEEDS,
    dy=st.integers(-12, 12),
    dx=st.integers(-12, 12),
)
def test_translation_of_the_object_shifts_the_incoherent_image(seed, medium, dy, dx):
    objects = torch.zeros(1, 48, 48, dtype=torch.float64)
    objects[:, 12:36, 12:36] = torch.rand(24, 24, dtype=torch.float64)
    state = INCOHERENT.draw(1, seeded(medium))
    still, moved = (INCOHERENT.intensity(o, state) for o in (objects, objects.roll((dy, dx), (1, 2))))
    inner = slice(12, 36)
    torch.testing.assert_close(moved[:, inner, inner], still.roll((dy, dx), (1, 2))[:, inner, inner])
