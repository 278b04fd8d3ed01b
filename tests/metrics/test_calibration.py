import math

import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from spt.metrics import Reliability, calibration_error, reliability


def error(pred: torch.Tensor, target: torch.Tensor, bins: int = 15) -> float:
    return calibration_error(reliability(pred, target, bins).sum(0)).item()


@pytest.fixture
def split() -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose probabilities are true, and of which each is off by its own amount once they are squared."""
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(7, 1, 32, 24, generator=generator, dtype=torch.float64)
    return pred, (torch.rand(pred.shape, generator=generator) < pred).double()


def test_by_hand():
    # Two bins. Below one half: .2 and .4, of which one is lit; above: .7 and .9, both lit.
    pred = torch.tensor([0.2, 0.4, 0.7, 0.9], dtype=torch.float64).view(1, 1, 2, 2)
    target = torch.tensor([0.0, 1.0, 1.0, 0.5]).view(1, 1, 2, 2)
    sums = reliability(pred, target, bins=2)
    torch.testing.assert_close(
        sums, torch.tensor([[[2.0, 2.0], [0.6, 1.6], [1.0, 2.0]]], dtype=torch.float64), atol=1e-12, rtol=0
    )
    # |.3 - .5| and |.8 - 1|, half of the pixels each.
    assert calibration_error(sums).item() == pytest.approx(0.2, abs=1e-12)


def test_bins_are_closed_at_the_left_and_the_last_at_both_ends():
    pred = torch.tensor([0.0, 0.24, 0.25, 0.5, 0.75, 1.0]).view(1, 1, 2, 3)
    assert reliability(pred, torch.zeros(1, 1, 2, 3), bins=4)[0, 0].tolist() == [2, 1, 1, 2]


def test_true_probabilities_have_almost_no_error(split):
    # The share of a bin of N/15 pixels is known to sqrt(p(1-p) 15/N): .02 for 5376 pixels, .0015 for a million.
    assert 0 < error(*split) < 0.03
    generator = torch.Generator().manual_seed(1)
    pred = torch.rand(16, 1, 256, 256, generator=generator)
    assert error(pred, (torch.rand(pred.shape, generator=generator) < pred).float()) < 0.003


def test_overconfidence_is_its_mean_distance():
    """Lit with probability p / 2 where p is said: the error is the mean of p / 2, a quarter."""
    generator = torch.Generator().manual_seed(2)
    pred = torch.rand(4, 1, 128, 128, generator=generator)
    target = (torch.rand(pred.shape, generator=generator) < pred / 2).float()
    assert error(pred, target) == pytest.approx(0.25, abs=0.01)


def test_perfect_and_opposite_images():
    target = (torch.arange(12.0) > 4).float().view(1, 1, 3, 4)
    assert error(target, target) == 0
    assert error(1 - target, target) == 1


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_equals_torchmetrics_below_certainty(split, bins):
    pred, target = split
    expected = binary_calibration_error(pred.flatten() ** 2, target.flatten().int(), n_bins=bins, norm="l1")
    assert error(pred**2, target, bins) == pytest.approx(expected.item(), abs=1e-9)


def test_torchmetrics_gives_certainty_a_bin_of_its_own():
    """Ours is right: .96 (lit) and 1 (unlit) lie in the last of 15 bins, |1.96 - 1| / 2 = .48.

    torchmetrics sorts 1 into a sixteenth bin: (.04 + 1) / 2 = .52. Saturated sigmoids reach 1 exactly.
    """
    pred, lit = torch.tensor([0.96, 1.0]).view(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert error(pred, lit) == pytest.approx(0.48, abs=1e-7)
    theirs = binary_calibration_error(pred.flatten(), lit.flatten().int(), n_bins=15, norm="l1")
    assert theirs.item() == pytest.approx(0.52, abs=1e-6)


def test_the_pooled_error_is_not_the_mean_of_images():
    """Two halves that miss in opposite directions: each image is off by .25, all pixels together are true."""
    pred = torch.full((2, 1, 4, 4), 0.5)
    target = torch.zeros(2, 1, 4, 4)
    target[0, :, :3], target[1, :, :1] = 1, 1
    sums = reliability(pred, target)
    assert calibration_error(sums).tolist() == [0.25, 0.25]
    assert calibration_error(sums.sum(0)).item() == 0


def test_nan_stays_nan_and_values_outside_are_refused():
    pred = torch.full((1, 1, 2, 2), 0.5)
    pred[..., 0] = float("nan")
    assert math.isnan(error(pred, torch.ones(1, 1, 2, 2)))
    for value in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"probabilities in \[0, 1\].*Decode the logits first"):
            reliability(torch.full((1, 1, 2, 2), value), torch.ones(1, 1, 2, 2))


@pytest.mark.usefixtures("own_checks")
def test_shapes_and_bins_are_checked():
    with pytest.raises(ValueError, match=r"Add the channel axis: target\[:, None\]"):
        reliability(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), bins=0)


# Over a split --------------------------------------------------------------------------------------------------------


def collect(split: tuple[torch.Tensor, torch.Tensor], *batches: list[int]) -> Reliability:
    metric = Reliability()
    for batch in batches:
        metric.update(split[0][batch], split[1][batch], torch.tensor(batch))
    return metric


@pytest.mark.parametrize(
    "batches",
    [[[0, 1, 2], [3, 4, 5], [6]], [[6, 2], [5, 0, 1, 3], [4]], [[3, 3, 3, 1], [0, 6, 5, 4], [2, 6, 6]]],
    ids=["last batch short", "any order", "repeats"],
)
def test_every_image_counts_once_however_it_is_batched(split, batches):
    assert torch.equal(collect(split, *batches).compute(), reliability(*split).sum(0))


def test_two_merged_states_are_one_pass(split):
    """The padding of a distributed sampler repeats image 0; it counts once."""
    here, there = collect(split, [0, 2], [4, 6]), collect(split, [1, 3], [5, 0])
    here.merge_state(there)
    assert torch.equal(here.compute(), reliability(*split).sum(0))


def test_the_number_of_bins_is_kept(split):
    metric = Reliability(bins=4)
    metric.update(*split, torch.arange(7))
    assert metric.compute().shape == (3, 4)
    assert metric.compute()[0].sum() == split[0].numel()
