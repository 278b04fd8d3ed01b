import math

import pytest
import torch

from spt.errors import UserError
from spt.losses.inputs import check_activation, checked, probabilities


def test_half_precision_is_promoted_and_double_kept():
    for dtype, promoted in ((torch.float16, torch.float32), (torch.float64, torch.float64)):
        assert [x.dtype for x in checked(torch.ones(1, 1, 2, 2, dtype=dtype), torch.ones(1, 1, 2, 2))] == [
            promoted,
            torch.float32,
        ]


def test_one_channel_is_a_sigmoid_and_more_are_a_softmax_unless_told():
    logits = torch.tensor([math.log(3), 0.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(probabilities(logits[:, :1]).flatten(), torch.tensor([0.75]))
    torch.testing.assert_close(probabilities(logits + 7).flatten(), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(probabilities(logits, "sigmoid").flatten(), torch.tensor([0.75, 0.5]))


def test_a_softmax_of_one_channel_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"two or more channels, got 1\. Choose head=two_class"):
        probabilities(torch.zeros(1, 1, 4, 4), "softmax")


def test_an_activation_that_is_none_is_refused():
    with pytest.raises(UserError, match="activation must be one of auto, sigmoid, softmax, got tanh"):
        check_activation("tanh")
