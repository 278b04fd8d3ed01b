"""The Gaussian beam: its radius, its power, and how it spreads behind the object."""

import math

import pytest
import torch

from spt.optics import GaussianBeam, propagate


def test_intensity_falls_to_an_inverse_square_of_e_at_the_waist():
    field = GaussianBeam(40e-6).field(41, 4e-6, torch.zeros(1, dtype=torch.float64))
    assert field.dtype == torch.float64
    assert field[20, 20].item() == 1
    assert field[20, 30].item() ** 2 == pytest.approx(math.exp(-2))
    assert field[10, 20].item() ** 2 == pytest.approx(math.exp(-2))


def test_power_by_hand():
    # The integral of exp(-2 r^2 / w^2) is pi w^2 / 2.
    field = GaussianBeam(40e-6).field(64, 4e-6, torch.zeros(1))
    assert field.square().sum().item() * 16e-12 == pytest.approx(math.pi * 40e-6**2 / 2, rel=1e-4)


def test_radius_after_a_rayleigh_length():
    waist, wavelength = 60e-6, 532e-9
    distance = math.pi * waist**2 / wavelength
    beam = GaussianBeam(waist).field(256, 4e-6, torch.zeros(1, dtype=torch.float64))
    light = propagate(beam.to(torch.complex128), distance, 4e-6, wavelength).abs().square()
    x = (torch.arange(256, dtype=torch.float64) - 127.5) * 4e-6
    radius = 2 * ((light.sum(0) * x**2).sum() / light.sum()).sqrt()
    assert radius.item() == pytest.approx(waist * math.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("waist", [0, -1e-3, math.nan])
def test_refuses_no_waist(waist):
    with pytest.raises(ValueError, match="waist must be a positive length"):
        GaussianBeam(waist)
