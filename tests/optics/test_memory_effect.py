"""The memory effect: laws by hand, and simulation against them."""

import math

import numpy as np
import pytest
import torch

from spt.optics import ThickDiffuser, ThinDiffuser
from spt.optics.memory_effect import shift_law, shifted_correlation, simulated_shift, simulated_tilt, tilt_law

WAVELENGTH, GRID, PITCH = 532e-9, 256, 4e-6
THIN = ThinDiffuser(2.92, 20e-6)
THICK = ThickDiffuser(1.0, 15e-6, 5, 4e-3)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_shift_law_by_hand():
    # C(4 um) = exp(-0.04) = .960789; 2 * 8.5264 * .039211 = .66865.
    assert shift_law(THIN, 4e-6) == pytest.approx(0.51240, abs=1e-4)
    assert shift_law(THIN, 0) == 1


def test_tilt_law_by_hand():
    """Two slices of 1 rad, 1 mm apart: the best plane is in the middle, half a millimetre from either."""
    medium, angle = ThickDiffuser(1.0, 10e-6, 2, 1e-3), 10e-3
    # 5 um is half a correlation length: 2 * 2 * (1 - exp(-1/4)) = .88480.
    assert tilt_law(medium, angle) == pytest.approx(math.exp(-0.88480), abs=1e-5)
    assert tilt_law(medium, 0) == 1


def test_shift_follows_its_law():
    """Within 0.05, 3.8 mm behind the screen; measured .85/.52/.24/.09 against .84/.51/.23/.08."""
    shifts = [2e-6, 4e-6, 6e-6, 8e-6]
    measured = simulated_shift(THIN, shifts, 128, PITCH, WAVELENGTH, 3.8e-3, 16, seeded()).mean(1)
    assert measured.tolist() == pytest.approx([shift_law(THIN, s) for s in shifts], abs=0.05)


def test_tilt_of_five_slices_follows_its_law():
    """At .06/.12/.18/.24/.36 degree: measured .89/.69/.44/.26/.07 against .91/.69/.45/.26/.07."""
    cycles = [2, 4, 6, 8, 12]
    measured = simulated_tilt(THICK, cycles, GRID, PITCH, WAVELENGTH, 7.6e-3, 6, seeded(1)).mean(1)
    theory = [tilt_law(THICK, k * WAVELENGTH / (GRID * PITCH)) for k in cycles]
    assert theory == pytest.approx([0.91, 0.69, 0.45, 0.26, 0.07], abs=0.01)
    assert measured.tolist() == pytest.approx(theory, abs=0.05)


def test_a_thin_medium_has_a_wider_memory():
    thin = ThickDiffuser(1.0, 15e-6, 5, 1e-3)
    measured = simulated_tilt(thin, [8], GRID, PITCH, WAVELENGTH, 7.6e-3, 4, seeded(2)).mean().item()
    assert measured == pytest.approx(tilt_law(thin, 8 * WAVELENGTH / (GRID * PITCH)), abs=0.05)
    assert measured > 0.85


def test_shifted_correlation_finds_a_shift_of_a_fraction_of_a_pixel():
    x = torch.arange(64) / 64 * 2 * math.pi
    first, second = (
        (torch.sin(3 * turned) + torch.cos(5 * turned)).expand(1, 16, -1) for turned in (x, x - 2.25 / 64 * 2 * math.pi)
    )
    found = shifted_correlation(first, second, 16)
    assert found.shape == (1, 1024)
    assert found.argmax().item() == 36  # 2.25 px in steps of 1/16
    assert found.max().item() == pytest.approx(1, abs=1e-5)


def test_shifted_correlation_of_an_image_with_itself_is_one_at_no_shift():
    image = torch.rand(3, 16, 20)
    for fine in (1, 16):
        assert shifted_correlation(image, image, fine)[:, 0].tolist() == pytest.approx([1] * 3, abs=0.1)
    assert shifted_correlation(image, image, 1)[:, 0].tolist() == pytest.approx([1] * 3, abs=1e-5)
