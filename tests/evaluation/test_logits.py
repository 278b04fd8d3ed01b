import torch

from spt.evaluation.logits import gives_probabilities, logit_metrics
from spt.heads import BinaryHead, GreyLevelsHead

ZEROS = torch.zeros(1, 4, 2, 2)


def test_heads_without_metrics_of_their_own_give_none():
    assert logit_metrics(BinaryHead(), ZEROS, ZEROS) == {}
    assert list(logit_metrics(GreyLevelsHead(4), ZEROS, torch.zeros(1, 2, 2).long())) == ["top1"]


def test_an_image_is_a_probability_unless_the_head_says_no():
    assert gives_probabilities(BinaryHead())
    assert not gives_probabilities(GreyLevelsHead())
