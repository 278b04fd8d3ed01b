"""The multi-slice medium: independent slices, and what they add up to."""

import math

import numpy as np
import pytest
import torch

from spt.optics import ThickDiffuser, ThinDiffuser, propagate

WAVELENGTH = 532e-9
MEDIUM = ThickDiffuser(sigma_phi=1.0, correlation_length=15e-6, slices=5, thickness=4e-3)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def behind(screens: torch.Tensor, spacing: float, pitch: float) -> torch.Tensor:
    """Field of a plane wave behind the last slice."""
    field = torch.ones_like(screens[:, 0], dtype=torch.complex64)
    for k in range(screens.shape[1]):
        field = propagate(field, spacing if k else 0, pitch, WAVELENGTH)
        field = field * torch.polar(torch.ones_like(screens[:, k]), screens[:, k])
    return field


def test_slices_by_hand():
    assert MEDIUM.spacing == pytest.approx(1e-3)
    assert MEDIUM.positions == pytest.approx([0, 1e-3, 2e-3, 3e-3, 4e-3])
    assert MEDIUM.rms_phase == pytest.approx(math.sqrt(5))
    assert MEDIUM.ballistic_fraction == pytest.approx(math.exp(-5))
    one = ThinDiffuser(1.0, 15e-6).scattering_angle(WAVELENGTH)
    assert MEDIUM.scattering_angle(WAVELENGTH) == pytest.approx(math.sqrt(5) * one)
    # The first slice is 6 mm from the camera, the last 2 mm: sqrt(4 + 9 + 16 + 25 + 36) mm.
    assert MEDIUM.spread(2e-3, WAVELENGTH) == pytest.approx(one * math.sqrt(90) * 1e-3)


def test_slices_of_one_draw_are_independent_screens():
    screens = MEDIUM.draw(24, (128, 128), 4e-6, seeded())
    assert screens.shape == (24, 5, 128, 128)
    assert screens.square().mean().sqrt().item() == pytest.approx(1, rel=0.03)
    between = torch.einsum("nshw,nthw->st", screens, screens) / (24 * 128**2)
    assert (between - between.diag().diag()).abs().max() < 0.05


def test_angles_of_the_slices_add_in_quadrature():
    screens = MEDIUM.draw(16, (128, 128), 4e-6, seeded(1))
    power = torch.fft.fft2(behind(screens, MEDIUM.spacing, 4e-6)).abs().square().mean(0)
    angle = WAVELENGTH * torch.fft.fftfreq(128, 4e-6)
    for dim in (0, 1):
        rms = ((power.sum(1 - dim) * angle**2).sum() / power.sum()).sqrt()
        assert rms.item() == pytest.approx(MEDIUM.scattering_angle(WAVELENGTH), rel=0.05)


def test_ballistic_light_falls_slice_by_slice():
    """exp(-slices sigma^2): .472 here, within the 10 % of the thin screen."""
    weak = ThickDiffuser(0.5, 12e-6, 3, 1e-3)
    assert weak.ballistic_fraction == pytest.approx(math.exp(-0.75))
    field = behind(weak.draw(48, (128, 128), 4e-6, seeded(2)), weak.spacing, 4e-6)
    assert field.mean((1, 2)).abs().square().mean().item() == pytest.approx(math.exp(-0.75), rel=0.1)


def test_draws_follow_the_generator():
    first, second, other = (MEDIUM.draw(1, (16, 16), 4e-6, seeded(k)) for k in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_refuses_a_single_slice():
    with pytest.raises(ValueError, match=r"at least 2 slices, got 1\. One is a ThinDiffuser"):
        ThickDiffuser(1.0, 15e-6, 1, 4e-3)


@pytest.mark.parametrize("thickness", [0, -1e-3, math.nan])
def test_refuses_no_thickness(thickness):
    with pytest.raises(ValueError, match="thickness must be a positive length"):
        ThickDiffuser(1.0, 15e-6, 5, thickness)


def test_refuses_a_slice_that_is_no_screen():
    with pytest.raises(ValueError, match="sigma_phi is an RMS phase"):
        ThickDiffuser(-1.0, 15e-6, 5, 4e-3)
