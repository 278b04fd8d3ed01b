"""Refinement through a twin: towards the truth where the spectra say so, and no further than the weight allows."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spt.optics.twin import Diffuser, Diffusers, FittedTwin, Refinement, SpectrumGrid, Twin, TwinNoise, noise_statistics

GRID = SpectrumGrid((16, 16), 0.03, 8, 0.02, 2, 0.5, 8)
SIDE = 12
SPREAD = {"scale": 0.05, "shift": 0.15, "halo": 0.005, "gain": 0.01, "blur": 0.03, "weights": 0.1}
NOISE = 0.02


def objects(count=6):
    rng = np.random.default_rng(0)
    made = torch.zeros(count, SIDE, SIDE)
    for image in made:
        y, x = rng.integers(2, 7, 2)
        image[y : y + 4, x : x + 2] = 1
        image[y : y + 2, x : x + 4] = 1
    return made


@pytest.fixture
def fitted():
    """A twin that leaves white noise unexplained, and predicts spectra that are all too low by 0.5."""
    twin = Twin(SIDE, GRID, 0.04)
    with torch.no_grad():  # each window sees the object in another light
        twin.weights.copy_(torch.randn(4, 14, 14, generator=torch.Generator().manual_seed(2)))
    rest = NOISE * torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    statistics = noise_statistics(GRID, rest, NOISE * torch.randn(8, 8, 8), torch.arange(8) % 2)
    facts = {"residual": NOISE**2, "small_residual": NOISE**2}
    return FittedTwin(twin, Diffusers(2, 4), TwinNoise(GRID, statistics), facts)


@pytest.fixture
def frames(fitted):
    """Noisy spectra of some objects behind a diffuser that is 4 % farther away; what a network makes of them."""
    known = fitted.twin.mean_diffuser(1)
    diffuser = Diffuser(**{**vars(known), "scale": torch.full((1, 2), 0.04)}).repeated(6)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        spectra, small = fitted.twin(objects(), diffuser)
    doubtful = (1.5 * (2 * objects() - 1) + 1.5 * torch.randn(6, SIDE, SIDE, generator=generator)).sigmoid()
    return (
        spectra + 0.5 + NOISE * torch.randn(spectra.shape, generator=generator),
        small + NOISE * torch.randn(small.shape, generator=generator),
        doubtful,
    )


def error(images):
    return (images - objects()).square().mean().item()


def test_images_come_nearer_to_the_objects(fitted, frames):
    spectra, small, doubtful = frames
    images, _ = Refinement()(fitted, SPREAD, spectra, small, lambda scale: doubtful)
    assert error(images) < 0.7 * error(doubtful)


def test_the_distance_of_the_diffuser_is_found_and_the_network_is_told(fitted, frames):
    spectra, small, _ = frames
    asked = []

    def predict(scale):
        asked.append(scale)
        return 0.8 * objects() + 0.1

    _, diffuser = Refinement()(fitted, SPREAD, spectra, small, predict)
    assert diffuser.scale.mean().item() == pytest.approx(0.04, abs=0.01)
    assert asked[0] == 1.0
    assert asked[-1] == pytest.approx(math.exp(0.04), abs=0.01)


def test_what_the_twin_leaves_out_everywhere_does_not_count(fitted, frames):
    """Without the mean of its residuals, the twin would explain them by the objects."""
    spectra, small, _ = frames
    images, _ = Refinement(weight=0.1)(fitted, SPREAD, spectra, small, lambda scale: objects())
    fitted.noise.mean.zero_()
    wrong, _ = Refinement(weight=0.1)(fitted, SPREAD, spectra, small, lambda scale: objects())
    assert error(images) < 0.5 * error(wrong)


def test_a_great_weight_keeps_the_images_of_the_network(fitted, frames):
    spectra, small, doubtful = frames
    images, _ = Refinement(weight=1e6)(fitted, SPREAD, spectra, small, lambda scale: doubtful)
    assert (images - doubtful).abs().max() < 0.01


def test_a_difference_without_spread_stays_zero(fitted, frames):
    spectra, small, doubtful = frames
    still = {**SPREAD, "scale": 0.0}
    _, diffuser = replace(Refinement(), rounds=1)(fitted, still, spectra, small, lambda scale: doubtful)
    assert diffuser.scale.abs().max() == 0
    assert diffuser.shift.abs().max() > 0


def test_it_works_while_gradients_are_off(fitted, frames):
    spectra, small, doubtful = frames
    with torch.inference_mode():
        images, _ = replace(Refinement(), rounds=1)(fitted, SPREAD, spectra, small, lambda scale: doubtful)
    assert error(images) < error(doubtful)
