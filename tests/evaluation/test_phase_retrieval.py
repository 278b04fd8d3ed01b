"""Speckle correlation on cases whose answer is known."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from spt.data.objects import SparseObjects
from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation import phase_retrieval
from spt.evaluation.phase_retrieval import PhaseRetrieval, autocorrelation, placed, reach_of, retrieved, spectrum
from spt.metrics import pcc

WHITE = Amplitude("none", scale="none")


def corner():
    """Bright squares in an arrangement without symmetry, 20 px wide, in 32 px."""
    image = torch.zeros(1, 32, 32)
    image[0, 4:8, 5:17], image[0, 8:20, 5:9], image[0, 14:17, 12:20] = 1.0, 0.7, 0.4
    return image


def speckled(objects, seed, side):
    """Objects in the middle of frames of ``side`` px, convolved with noise that is correlated with nothing."""
    frames = torch.zeros(len(objects), side, side)
    start = (side - objects.shape[-1]) // 2
    frames[:, start : start + objects.shape[-1], start : start + objects.shape[-1]] = objects
    noise = torch.from_numpy(np.random.default_rng(seed).exponential(size=(2 * side, 2 * side))).float()
    size = (4 * side, 4 * side)
    wide = torch.fft.irfft2(torch.fft.rfft2(frames, s=size) * torch.fft.rfft2(noise, s=size), s=size)
    return wide[:, side : 2 * side, side : 2 * side]


def test_autocorrelation_is_that_of_scipy():
    image = torch.rand(2, 5, 7)
    lags = autocorrelation(image)
    assert lags.shape == (2, 10, 14)
    for one, expected in zip(lags, image, strict=True):
        full = correlate2d(expected.numpy(), expected.numpy())  # lags -4..4 and -6..6
        assert one[1:, 1:].numpy() == pytest.approx(full, abs=1e-5)


def test_the_box_of_a_bar_reaches_as_far_as_the_bar():
    """The autocorrelation of a bar of 11 px is a triangle of 21 lags; lags up to 9 hold 119 of its 121 parts."""
    bar = torch.zeros(3, 1, 40, 40)
    bar[:, 0, 20, 10:21] = 1
    assert reach_of(bar) == 9


def test_an_object_is_found_from_the_exact_modulus_of_its_spectrum():
    image = corner()
    found = placed(retrieved(torch.fft.rfft2(image, s=(64, 64)).abs(), 20), image)
    assert pcc(found[:, None], image[:, None]).item() > 0.999


def test_no_frame_depends_on_the_others(monkeypatch):
    """Error reduction alone: hybrid input-output makes another image of the rounding of another batch on some CPUs."""
    monkeypatch.setattr(phase_retrieval, "BETAS", ())
    monkeypatch.setattr(phase_retrieval, "LAST_STEPS", 3)
    modulus = torch.fft.rfft2(torch.cat([corner(), corner().mT]), s=(64, 64)).abs()
    together, alone = retrieved(modulus, 20)[:1], retrieved(modulus[:1], 20)
    assert alone.max() > 0.1
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_place_and_twin_are_resolved_against_the_truth(turned):
    truth = corner()
    moved = torch.roll(truth, (7, 6), (1, 2))
    assert torch.allclose(placed(moved.flip((1, 2)) if turned else moved, truth), truth)
    mirrored = placed(moved.flip(2), truth)
    assert pcc(mirrored[:, None], truth[:, None]).item() < 0.9, "a mirror image is another image"


def test_the_spectrum_of_a_large_frame_is_that_of_the_object():
    """160 px of noise: the object's own modulus to a correlation of .9, without its zero frequency."""
    image = corner()
    found = spectrum(speckled(image, 0, 160), 20)
    padded = torch.zeros(1, 320, 320)
    padded[:, :32, :32] = image
    exact = torch.fft.rfft2(padded).abs()
    near = (slice(None), slice(1, 60), slice(1, 60))
    assert np.corrcoef(found[near].flatten(), exact[near].flatten())[0, 1] > 0.9


def test_objects_behind_speckle_are_found_better_than_other_objects_would_fit():
    objects = torch.from_numpy(SparseObjects().draw("train", range(8), 32, 0)).float() / 255
    frames = speckled(objects, 1, 128)
    wide = torch.zeros(8, 128, 128)
    wide[:, 48:80, 48:80] = objects
    pairs = Pairs("val_seen", frames, wide, torch.zeros(8, dtype=torch.int64))
    images = torch.cat(list(PhaseRetrieval(pairs, WHITE)(pairs)))
    assert images.shape == (8, 1, 128, 128)
    assert (images.amin(), images.amax()) == (0, 1)
    others = placed(wide.roll(1, 0), wide)[:, None]
    assert pcc(images, wide[:, None]).mean() > pcc(others, wide[:, None]).mean() + 0.1
