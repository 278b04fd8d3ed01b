"""What is measured of known frames, and how pairs are grouped."""

import math

import pytest
import torch

from spt.data.pairs import Pairs
from spt.evaluation.speckle.frame_statistics import BINS, Frames, between, by_diffuser, flattened, measure, one_split


def noise(count: int = 12, side: int = 48, seed: int = 0) -> torch.Tensor:
    """Exponential intensities, independent from pixel to pixel."""
    return torch.empty(count, side, side).exponential_(generator=torch.Generator().manual_seed(seed))


def pairs(diffusers: list[int], seed: int = 0) -> Pairs:
    n = len(diffusers)
    target = (torch.arange(n)[:, None, None] * 255 // max(1, n - 1)).expand(n, 20, 20).to(torch.uint8)
    return Pairs("train", noise(n, 20, seed), target, torch.tensor(diffusers))


def test_numbers_of_exponential_noise():
    s = measure(Frames("noise", noise()))
    assert (s.frames, s.size, s.constant, s.duplicates, s.hot) == (12, (48, 48), 0, 0, 0)
    assert s.contrast.mean().item() == pytest.approx(1, abs=0.03)
    assert s.order == pytest.approx(1, abs=0.06)
    assert s.ks_exponential < 1.63 / math.sqrt(s.samples)
    assert max(s.grain) < 1
    assert len(s.correlations) == 66
    assert abs(s.correlations.mean().item()) < 0.02
    assert s.uniformity > 0.7
    assert s.dark == 0
    assert s.levels == pytest.approx(48**2, rel=0.01)
    assert s.leaks == ()
    assert s.leak is None


def test_histogram_is_a_density():
    s = measure(Frames("noise", noise()))
    assert (s.histogram * BINS.diff()).sum().item() == pytest.approx(1, abs=2e-3)
    assert s.histogram[0].item() == pytest.approx((1 - math.exp(-0.125)) / 0.125, rel=0.05)


def test_brightest_level_and_zeros_are_shares():
    frames = noise().clamp(0.1, 2)
    frames[frames == 0.1] = 0
    s = measure(Frames("clipped", frames))
    assert s.saturated == pytest.approx(math.exp(-2), abs=0.01)
    assert s.dark == pytest.approx(1 - math.exp(-0.1), abs=0.01)


def test_the_envelope_is_found_and_removed():
    y = torch.linspace(-1, 1, 96)
    profile = torch.exp(-(y[:, None] ** 2) - 0.5 * y**2)
    flat, envelope = flattened(noise(64, 96) * profile)
    assert ((envelope / (profile / profile.max())).log().std()).item() < 0.08
    assert measure(Frames("", noise(64, 96) * profile)).flat_contrast.mean().item() == pytest.approx(1, abs=0.03)
    assert flat.mean((1, 2)).allclose(torch.ones(64))


def test_own_objects_are_told_from_others():
    target = noise(30, 32, 1)
    raw = measure(Frames("", noise(30, 32) + target, target)).leaks[0]
    assert raw.own == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert raw.null == pytest.approx(0, abs=0.01)
    assert raw.excess == pytest.approx(raw.own - raw.null)
    assert raw.blur == 0


def test_frames_behind_two_diffusers():
    first, second = Frames("a", noise(5)), Frames("b", noise(70, seed=4))
    assert between(first, second).shape == (5, 64)
    assert between(first, first).diagonal().allclose(torch.ones(5), atol=1e-5)
    assert abs(between(first, second).mean().item()) < 0.01
    with pytest.raises(ValueError, match="a and c hold frames of different sizes"):
        between(first, Frames("c", noise(3, 20)))


def test_pairs_are_grouped_by_diffuser_and_spread_evenly():
    mine = pairs([1, 2] * 10)
    first, second = by_diffuser(mine, 4, "set, ")
    assert (first.name, second.name) == ("set, diffuser 1", "set, diffuser 2")
    assert torch.equal(first.speckle, mine.speckle[[0, 6, 12, 18]])
    assert torch.equal(second.target, mine.images()[[1, 7, 13, 19], 0])


def test_many_diffusers_are_taken_together():
    (group,) = by_diffuser(pairs(list(range(12))), 100)
    assert group.name == "12 diffusers"
    assert len(group.speckle) == 12


def test_splits():
    splits = {"train": pairs([1, 1]), "val_seen": pairs([1], 1), "test_unseen": pairs([3], 2)}
    assert one_split(splits, "val_seen") is splits["val_seen"]
    together = one_split(splits, "all")
    assert together.diffuser.tolist() == [1, 1, 1, 3]
    assert torch.equal(together.speckle[3], splits["test_unseen"].speckle[0])
    with pytest.raises(KeyError, match="split=val: choose one of train, val_seen, test_unseen, or all"):
        one_split(splits, "val")


@pytest.mark.parametrize("shape", [(0, 20, 20), (20, 20), (3, 15, 20)])
def test_frames_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"mine: frames \(n, h, w\) of at least 16x16 px are needed"):
        Frames("mine", torch.ones(shape))


def test_frames_that_are_not_finite():
    frames = noise()
    frames[3, 0, 0], frames[5, 1, 1] = math.nan, math.inf
    with pytest.raises(ValueError, match=r"mine: frame\(s\) \[3, 5\] hold NaN or infinity"):
        Frames("mine", frames)


def test_constant_frames_alone():
    with pytest.raises(ValueError, match="mine: every frame is constant"):
        measure(Frames("mine", torch.ones(3, 20, 20)))
