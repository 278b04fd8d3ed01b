"""Averaging and movement of the diffuser during an exposure."""

import math

import numpy as np
import pytest
import torch

from spt.optics import IndependentPatterns, MovingDiffuser, ThickDiffuser, ThinDiffuser
from spt.optics.motion import moved

DIFFUSER = ThinDiffuser(2.0, 20e-6)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def draws(diffuser, side: int, seed: int):
    generator = seeded(seed)
    return lambda count: diffuser.draw(count, (side, side), 4e-6, generator)


def pcc(first: torch.Tensor, second: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1].item()


def test_a_whole_shift_rolls():
    screens = torch.randn(2, 3, 15, 16, dtype=torch.float64)
    # The highest frequency of an even axis is kept by a whole shift.
    assert torch.allclose(moved(screens, (2, -3)), screens.roll((2, -3), (-2, -1)), atol=1e-12)


def test_a_fraction_of_a_pixel_shifts_a_wave_exactly():
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")

    def wave(dy: float, dx: float) -> torch.Tensor:
        return torch.sin(2 * math.pi * (3 * (x - dx) / 32 + 2 * (y - dy) / 24))

    torch.testing.assert_close(moved(wave(0, 0), (0.4, 1.7)), wave(0.4, 1.7), atol=1e-5, rtol=0)


def test_a_quarter_turn_is_exact():
    """Positive angles turn x towards y: what lies at +x comes to +y."""
    screen = torch.randn(1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(moved(screen, (0, 0), math.pi / 2), screen.rot90(-1, (1, 2)), atol=1e-9, rtol=0)


def test_turning_there_and_back_is_nearly_the_identity():
    screens = DIFFUSER.draw(4, (96, 96), 4e-6, seeded(2))
    back = moved(moved(screens, (0, 0), 0.3), (0, 0), -0.3)
    middle = slice(24, 72)
    error = (back - screens)[:, middle, middle].square().mean().sqrt()
    assert error < 0.03 * 2.0


def test_a_turned_screen_keeps_its_statistics():
    screens = moved(DIFFUSER.draw(48, (80, 96), 4e-6, seeded(3)), (0, 0), 0.7)
    assert screens.square().mean().sqrt().item() == pytest.approx(2.0, rel=0.04)
    lagged = (screens[..., 5:] * screens[..., :-5]).mean() / screens.square().mean()
    assert lagged.item() == pytest.approx(math.exp(-1), abs=0.05)


def test_independent_patterns():
    screens = IndependentPatterns(3).draw(2, draws(DIFFUSER, 64, 4), 4e-6)
    assert screens.shape == (2, 3, 64, 64)
    assert torch.equal(screens.flatten(0, 1), DIFFUSER.draw(6, (64, 64), 4e-6, seeded(4)))


def test_a_moving_diffuser_steps():
    moving = MovingDiffuser(3, shift=(0.0, 8e-6))
    screens = moving.draw(2, draws(DIFFUSER, 64, 5), 4e-6)
    assert screens.shape == (2, 3, 64, 64)
    still = DIFFUSER.draw(2, (64, 64), 4e-6, seeded(5))
    for k in range(3):
        torch.testing.assert_close(screens[:, k], still.roll(2 * k, -1), atol=1e-5, rtol=0)


def test_a_rotating_diffuser_decorrelates_away_from_the_axis():
    screens = MovingDiffuser(2, rotation=0.3).draw(1, draws(DIFFUSER, 128, 6), 4e-6)[0]
    axis, corner = (slice(60, 68),) * 2, (slice(0, 24),) * 2
    assert pcc(screens[0][axis], screens[1][axis]) > 0.8
    assert abs(pcc(screens[0][corner], screens[1][corner])) < 0.6


def test_all_slices_of_a_thick_medium_move_together():
    thick = ThickDiffuser(1.0, 20e-6, 2, 1e-3)
    screens = MovingDiffuser(2, shift=(4e-6, 0.0)).draw(1, draws(thick, 32, 7), 4e-6)
    assert screens.shape == (1, 2, 2, 32, 32)
    torch.testing.assert_close(screens[:, 1], screens[:, 0].roll(1, -2), atol=1e-5, rtol=0)


def test_refuses_no_pattern():
    with pytest.raises(ValueError, match="a frame needs at least 1 pattern, got 0"):
        IndependentPatterns(0)


def test_refuses_no_position():
    with pytest.raises(ValueError, match="a moving diffuser needs at least 1 position, got 0"):
        MovingDiffuser(0)


def test_refuses_a_shift_along_one_axis():
    with pytest.raises(ValueError, match=r"shift must be two lengths along \(y, x\) in m, got \(1e-06,\)"):
        MovingDiffuser(2, shift=(1e-6,))
