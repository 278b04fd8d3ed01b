"""Incoherent imaging: a convolution, with the statistics of a simulated point-spread function."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from spt.optics import DiffuserPsf, IncoherentSetup, ThinDiffuser

PSF = DiffuserPsf(63, 256, 4e-6, 532e-9, 6.8e-3, 0.34e-3, ThinDiffuser(3.0, 34e-6))
SETUP = IncoherentSetup(32, PSF)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [(5, 5), (6, 9), (40, 40)])
def test_agrees_with_direct_convolution(size):
    objects = torch.rand(2, 32, 32, dtype=torch.float64)
    psf = torch.rand(2, *size, dtype=torch.float64)
    image = SETUP.intensity(objects, {"psf": psf})
    for k in range(2):
        full = convolve2d(objects[k], psf[k])
        top, left = (side // 2 for side in size)
        np.testing.assert_allclose(image[k], full[top : top + 32, left : left + 32], atol=1e-12)


def test_a_point_shows_the_psf():
    """A point in the middle of the window sees the middle of the function, exactly where the point is."""
    point = torch.zeros(1, 32, 32)
    point[0, 16, 16] = 1
    medium = SETUP.draw(1, seeded(2))
    image = SETUP.intensity(point, medium)
    torch.testing.assert_close(image, medium["psf"][:, 15:47, 15:47], atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("shift", [(3, -2), (-5, 4)])
def test_a_moved_object_moves_the_image(shift):
    objects = torch.zeros(1, 32, 32, dtype=torch.float64)
    objects[0, 10:20, 12:22] = torch.rand(10, 10, dtype=torch.float64)
    medium = SETUP.draw(1, seeded(4))
    image, moved = (SETUP.intensity(o, medium) for o in (objects, objects.roll(shift, (1, 2))))
    inner = slice(6, 26)
    torch.testing.assert_close(moved[:, inner, inner], image.roll(shift, (1, 2))[:, inner, inner])


def test_light_adds():
    objects, medium = torch.rand(2, 32, 32, dtype=torch.float64), SETUP.draw(1, seeded(6))
    first, second, both = (SETUP.intensity(o[None], medium) for o in (objects[0], objects[1], objects.sum(0)))
    torch.testing.assert_close(first + second, both)


def test_functions_are_normalised_speckles():
    """Sum 1; over 32 media the contrast where the aperture's light falls is that of developed speckle."""
    psf = PSF.draw(32, seeded(7))
    assert psf.shape == (32, 63, 63)
    assert psf.sum((1, 2)).tolist() == pytest.approx([1] * 32, rel=1e-5)
    assert psf.min() >= 0
    centre = psf[:, 16:48, 16:48]
    assert (centre.std((1, 2)) / centre.mean((1, 2))).mean().item() == pytest.approx(1, abs=0.05)


def test_a_function_of_even_size_is_cut_from_the_middle():
    whole = dataclasses.replace(PSF, size=192).draw(1, seeded(8))
    part = dataclasses.replace(PSF, size=64).draw(1, seeded(8))
    torch.testing.assert_close(part, whole[:, 64:128, 64:128] / whole[:, 64:128, 64:128].sum())


def test_draws_follow_the_generator():
    first, second, other = (SETUP.draw(1, seeded(k))["psf"] for k in (9, 9, 10))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("size", [0, 257])
def test_refuses_a_function_larger_than_its_grid(size):
    with pytest.raises(ValueError, match=f"size = {size} px must lie between 1 and grid = 256 px"):
        dataclasses.replace(PSF, size=size)


@pytest.mark.parametrize("aperture", [0, math.nan])
def test_refuses_no_aperture(aperture):
    with pytest.raises(ValueError, match="waist must be a positive length"):
        dataclasses.replace(PSF, aperture=aperture)


def test_refuses_no_window():
    with pytest.raises(ValueError, match="window must be at least 1 px, got 0"):
        IncoherentSetup(0, PSF)


@pytest.mark.usefixtures("own_checks")
def test_refuses_objects_of_another_size():
    with pytest.raises(ValueError, match=r"objects must be 32x32 px, \(b, n, n\), got \(32, 32\)"):
        SETUP.intensity(torch.zeros(32, 32), SETUP.draw(1, seeded()))
