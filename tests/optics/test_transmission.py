"""Transmission matrices: random ones are fully developed speckle; modal ones by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from spt.optics import ModeMatrixSetup, RandomMatrixSetup, select
from spt.optics.draws import distinct
from spt.optics.transmission import random_matrix

RANDOM = RandomMatrixSetup(window=64, inputs=16)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Random matrices


def test_speckle_of_a_random_matrix_is_exponential():
    """Contrast 1 within 0.05 and Kolmogorov-Smirnov; every pixel is independent."""
    light = RANDOM.intensity(torch.rand(4, 64, 64), RANDOM.draw(4, seeded(1)))
    contrast = light.std((1, 2)) / light.mean((1, 2))
    assert contrast.mean().item() == pytest.approx(1, abs=0.05)
    test = stats.kstest((light / light.mean((1, 2), keepdim=True)).flatten().numpy(), "expon")
    assert test.statistic < 0.015
    assert test.pvalue > 0.01


def test_the_entries_are_circular_and_independent():
    matrix = random_matrix(1, 1024, 256)
    assert matrix.mean().abs() * 48 < 5 / 512
    assert (matrix * matrix).mean().abs() / matrix.abs().square().mean() < 0.01
    neighbours = (matrix[:-1] * matrix[1:].conj()).mean().abs() / matrix.abs().square().mean()
    assert neighbours < 0.01


def test_the_largest_singular_value_is_one():
    assert torch.linalg.matrix_norm(random_matrix(2, 1024, 256), 2).item() == pytest.approx(1, abs=0.03)


def test_light_of_a_random_matrix_by_hand():
    setup = RandomMatrixSetup(window=4, inputs=2)
    medium = {"seed": torch.tensor([7, 8, 7])}
    objects = torch.rand(3, 4, 4)
    light = setup.intensity(objects, medium)
    for k, seed in enumerate((7, 8, 7)):
        shown = objects[k].unflatten(0, (2, 2)).unflatten(2, (2, 2)).mean((1, 3)).flatten()
        expected = (random_matrix(seed, 16, 4) @ torch.exp(1j * math.pi * shown)).abs().square().reshape(4, 4)
        torch.testing.assert_close(light[k], expected)


def test_media_of_one_draw_differ_and_follow_the_generator():
    seeds = RANDOM.draw(64, seeded(3))["seed"]
    assert len(seeds.unique()) == 64
    assert torch.equal(seeds, RANDOM.draw(64, seeded(3))["seed"])


def test_a_random_matrix_has_no_memory_effect():
    """An object moved by a pixel of the modulator gives another speckle, at any shift of the image."""
    objects = torch.zeros(2, 64, 64)
    objects[0, 8:40, 8:40] = 1
    objects[1] = objects[0].roll(8, -1)
    setup = RandomMatrixSetup(64, 16, "amplitude")
    light = setup.intensity(objects, select(setup.draw(1, seeded(4)), torch.zeros(2, dtype=torch.long)))
    first, second = (image - image.mean() for image in light)
    cross = torch.fft.ifft2(torch.fft.fft2(first).conj() * torch.fft.fft2(second)).real
    cross[0, 0] = 0  # most of the square stays lit: that much is alike where nothing moved
    assert cross.abs().max() / (first.norm() * second.norm()) < 0.1


@pytest.mark.parametrize("inputs", [0, 65])
def test_refuses_a_modulator_that_does_not_fit(inputs):
    with pytest.raises(ValueError, match=f"inputs must lie between 1 and window = 64 px, got {inputs}"):
        RandomMatrixSetup(64, inputs)


def test_random_matrix_refuses_an_unknown_modulation():
    with pytest.raises(ValueError, match="modulation must be 'phase' or 'amplitude'"):
        RandomMatrixSetup(64, 16, "colour")


# Modal matrices


def modal(window: int = 3, **changed) -> ModeMatrixSetup:
    """Two input modes on 2 x 2 px, one output mode on 3 x 3 px, two states."""
    modes_in = torch.tensor([[1, 1, 1, 1], [1, 1j, -1, -1j]], dtype=torch.complex128) / 2
    modes_out = torch.polar(torch.ones(1, 9, dtype=torch.float64), torch.arange(9.0, dtype=torch.float64)[None]) / 3
    matrices = torch.zeros(2, 2, 4, dtype=torch.complex128)
    matrices[0, 0, 0], matrices[0, 1, 1] = 0.5, 0.5j
    matrices[1, 0, 1] = 1
    # Light of the second input polarisation, which no object enters.
    matrices[:, :, 2:] = 100
    return ModeMatrixSetup(
        **{
            "window": window,
            "matrices": matrices,
            "modes_in": modes_in,
            "modes_out": modes_out,
            "modulation": "amplitude",
            **changed,
        }
    )


def test_modal_light_by_hand():
    setup = modal(window=2)
    objects = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]], dtype=torch.float64).expand(2, -1, -1)
    light = setup.intensity(objects, {"state": torch.tensor([0, 1])})
    # Either mode receives 1/2. State 0 sends a quarter of each to its polarisation; |mode|^2 = 1/9 everywhere.
    assert light[0].flatten().tolist() == pytest.approx([2 * 0.25**2 / 9] * 4)
    assert light[1].flatten().tolist() == pytest.approx([0.5**2 / 9] * 4)


def test_a_polariser_takes_one_output_polarisation():
    objects = torch.ones(1, 3, 3, dtype=torch.float64)
    # An even object excites the first mode alone, which state 0 sends to the first polarisation.
    both, first = (modal(polariser=p).intensity(objects, {"state": torch.tensor([0])}) for p in (False, True))
    torch.testing.assert_close(both, first)
    assert both.mean().item() == pytest.approx(1 / 9)
    skew = torch.eye(3, dtype=torch.float64)[None]
    both, first = (modal(polariser=p).intensity(skew, {"state": torch.tensor([0])}) for p in (False, True))
    assert (both - first).min() > 0


def test_input_modes_are_not_conjugated():
    """modes_in . U: the second mode's conjugate, 1, -i, -1, i, gives (1 + 1 + 1 + 1) / 2; the mode itself gives 0."""
    phases = torch.tensor([[[0.0, 1.5], [1.0, 0.5]], [[0.0, 0.5], [1.0, 1.5]]], dtype=torch.float64)
    light = modal(window=2, modulation="phase").intensity(phases, {"state": torch.tensor([1, 1])})
    assert light.mean((1, 2)).tolist() == pytest.approx([4 / 9, 0])


def test_output_modes_are_conjugated():
    """A field that mixes two output modes: modes_out^H . c, against the sum written out."""
    setup = modal(window=2)
    modes_out = torch.tensor([[1, 1, 1, 1], [1, 1j, -1, -1j]], dtype=torch.complex128) / 2
    matrices = torch.zeros(1, 4, 4, dtype=torch.complex128)
    matrices[0, 0, 0], matrices[0, 1, 0] = 0.6, 0.8j
    mixing = dataclasses.replace(setup, matrices=matrices, modes_out=modes_out)
    light = mixing.intensity(torch.ones(1, 2, 2, dtype=torch.float64), {"state": torch.tensor([0])})
    # The first input mode receives 4 / 2 = 2: the field is .6 + .8i (1, -i, -1, i) = .6 + .8i, 1.4, .6 - .8i, -.2.
    assert light.flatten().tolist() == pytest.approx([1, 1.96, 1, 0.04])


def test_states_of_a_draw_differ():
    assert sorted(modal().draw(2, seeded(5))["state"].tolist()) == [0, 1]
    with pytest.raises(ValueError, match="3 media were asked for, but there are only 2 states of the fibre"):
        modal().draw(3, seeded())


def test_distinct_numbers_are_a_permutation():
    assert sorted(distinct(10, 10, "tiles", seeded(6))) == list(range(10))


def test_refuses_matrices_that_do_not_fit_the_modes():
    with pytest.raises(ValueError, match=r"matrices must be \(states, 2, 4\), .* got \(2, 4, 2\)"):
        modal(matrices=torch.zeros(2, 4, 2, dtype=torch.complex64))


def test_refuses_modes_that_are_not_square():
    with pytest.raises(ValueError, match="modes_in must lie on a square of pixels, got 5 of them"):
        modal(modes_in=torch.zeros(2, 5, dtype=torch.complex64))


def test_refuses_no_window():
    with pytest.raises(ValueError, match="window must be at least 1 px, got 0"):
        modal(window=0)
