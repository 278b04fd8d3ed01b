import pytest
import torch
from torch import nn

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.evaluation.logits import gives_probabilities, logit_metrics, score_logits
from spt.heads import BinaryHead
from spt.metrics import top_k_accuracy

PLAIN = Preparation("none", scale="none")


class FourLevels:
    """A head of its own kind: four grey levels, whose image is no probability."""

    name, channels, gives_probabilities = "four_levels", 4, False

    def encode(self, target):
        return (target[:, 0] * 3).round().long()

    def decode(self, logits):
        return logits.argmax(1, keepdim=True) / 3

    def prior_logits(self, share):
        return torch.zeros(4)

    def logit_metrics(self, logits, encoded):
        return {f"top{k}": top_k_accuracy(logits, encoded, k) for k in (1, 2)}


class Nearest(nn.Module):
    """Logits that fall with the distance of the speckle from each level: 1, 2/3 of the way, …"""

    def forward(self, speckle):
        return -(speckle - torch.arange(4).view(1, 4, 1, 1) / 3).abs()


@pytest.fixture
def pairs():
    speckle = torch.rand(10, 6, 7)
    return Pairs("val", speckle, (speckle + 0.4 * torch.rand(10, 6, 7)).clamp(0, 1), torch.zeros(10))


@pytest.mark.parametrize("batch_size", [1, 4, 10, 64])
def test_every_image_is_scored_in_order_whatever_the_batches(pairs, batch_size):
    values = score_logits(Nearest(), FourLevels(), pairs, PLAIN, batch_size, "cpu")
    logits, level = Nearest()(pairs.speckle[:, None]), FourLevels().encode(pairs.images())
    assert list(values) == ["top1", "top2"]
    for k in (1, 2):
        torch.testing.assert_close(values[f"top{k}"], top_k_accuracy(logits, level, k))
    assert (values["top1"] < values["top2"]).all()
    assert torch.equal(values["top1"], (logits.argmax(1) == level).flatten(1).double().mean(1))


def test_speckles_are_prepared_and_nothing_is_differentiated(pairs):
    class Trained(Nearest):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(1.0))

        def forward(self, speckle):
            assert not torch.is_grad_enabled()
            return super().forward(self.gain * speckle)

    shifted = Preparation()
    values = score_logits(Trained(), FourLevels(), pairs, shifted, 4, "cpu")
    logits = Nearest()(shifted(pairs.speckle[:, None]))
    torch.testing.assert_close(values["top1"], top_k_accuracy(logits, FourLevels().encode(pairs.images()), 1))


def test_a_head_that_offers_nothing_costs_nothing(pairs):
    class Unused(nn.Module):
        def forward(self, speckle):
            raise AssertionError("the network ran")

    assert score_logits(Unused(), BinaryHead(), pairs, PLAIN, 4, "cpu") == {}
    assert logit_metrics(BinaryHead(), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) == {}


def test_an_image_is_a_probability_unless_the_head_says_no():
    assert gives_probabilities(BinaryHead())
    assert not gives_probabilities(FourLevels())
