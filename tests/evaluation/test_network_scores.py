import pytest
import torch
from torch import nn

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation.network_scores import best_median_worst, score_network
from spt.evaluation.predict import Predictor
from spt.heads import BinaryHead, GreyLevelsHead
from spt.metrics import METRICS, per_image, reliability, top_k_accuracy

PLAIN = Amplitude("none", scale="none")


class Nearest(nn.Module):
    """Logits that fall with the distance of the speckle from each of four levels."""

    def forward(self, speckle):
        return -9 * (speckle - torch.arange(4).view(1, 4, 1, 1) / 3).abs()


class Poisoned(nn.Module):
    """NaN in one pixel of the frames whose corner is bright."""

    def forward(self, speckle):
        logits = speckle.clone()
        logits[speckle[:, 0, 0, 0] > 2, 0, 3, 4] = torch.nan
        return logits


@pytest.fixture
def pairs():
    speckle = torch.rand(10, 12, 13)
    target = (speckle + 0.4 * torch.rand(10, 12, 13)).clamp(0, 1)
    return Pairs("val_seen", speckle, target, torch.arange(10) % 2)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_every_image_is_scored_in_order_whatever_the_batches(pairs, batch_size):
    result = score_network(Predictor(nn.Identity(), BinaryHead(), PLAIN, batch_size), pairs, "net", 10)
    pred = pairs.speckle[:, None].sigmoid()
    expected = per_image(pred, pairs.images())
    assert list(result.scores) == [*METRICS, "ece"]
    for name, values in expected.items():
        assert result.scores[name]["mean"] == pytest.approx(values.double().mean().item(), rel=1e-6), name
        assert (result.scores[name]["n"], result.scores[name]["diffusers"]) == (10, 2)
    torch.testing.assert_close(result.reliability, reliability(pred, pairs.images(), 10).sum(0))
    assert result.fault == ""


def test_the_best_the_median_and_the_worst_predictions_are_kept_for_the_pictures(pairs):
    result = score_network(Predictor(nn.Identity(), BinaryHead(), PLAIN, 3), pairs, "net", 10, shown=2)
    order = per_image(pairs.speckle[:, None].sigmoid(), pairs.images())["pcc"].argsort().tolist()
    assert result.shown == {"best": order[:-3:-1], "median": order[4:6], "worst": order[:2]}
    numbers = [number for each in result.shown.values() for number in each]
    torch.testing.assert_close(result.images, pairs.speckle[numbers, None].sigmoid())


@pytest.mark.parametrize(
    ("values", "each", "chosen"),
    [
        ([0.5, 0.1, 0.9, 0.3, 0.7], 1, {"best": [2], "median": [0], "worst": [1]}),
        ([0.5, float("nan"), 0.9], 1, {"best": [2], "median": [0], "worst": [1]}),
        ([0.5, 0.1, 0.9], 4, {"best": [2], "median": [0], "worst": [1]}),
        ([0.5, 0.1], 2, {"best": [0], "worst": [1]}),
        ([0.4], 2, {"worst": [0]}),
    ],
)
def test_no_image_is_named_twice_and_the_worst_are_always_there(values, each, chosen):
    assert best_median_worst(torch.tensor(values), each) == chosen


def test_a_head_scores_its_logits_and_has_no_calibration(pairs):
    head = GreyLevelsHead(4)
    result = score_network(Predictor(Nearest(), head, PLAIN, 3), pairs, "net", 10)
    expected = top_k_accuracy(Nearest()(pairs.speckle[:, None]), head.encode(pairs.images()), 1)
    assert list(result.scores) == [*METRICS, "top1"]
    assert result.scores["top1"]["mean"] == pytest.approx(expected.mean().item(), rel=1e-6)
    assert result.reliability is None


def test_images_that_are_not_finite_are_named_and_never_scored(pairs):
    pairs.speckle[[2, 7], 0, 0] = 3.0
    result = score_network(Predictor(Poisoned(), BinaryHead(), PLAIN, 4), pairs, "net", 10)
    assert {score["mean"] for score in result.scores.values()} == {None}
    assert result.fault.startswith("val_seen: the network's prediction of images 2, 7 holds NaN")


def test_a_head_metric_of_an_image_that_is_not_finite_is_null_too(pairs):
    pairs.speckle[4, 0, 0] = torch.nan
    result = score_network(Predictor(Nearest(), GreyLevelsHead(4), PLAIN, 4), pairs, "net", 10)
    assert result.scores["top1"]["mean"] is None


def test_a_frame_that_cannot_be_prepared_is_told_from_a_broken_network(pairs):
    pairs.speckle[5, 1, 1] = -1.0
    result = score_network(Predictor(nn.Identity(), BinaryHead(), Amplitude(), 4), pairs, "net", 10)
    assert result.fault.startswith("val_seen: the speckle of image 5 holds NaN or infinity after preparation")
