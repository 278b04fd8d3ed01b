import math

import pytest
import torch

from spt.heads import BinaryHead


def test_binary_target_is_encoded_as_itself_grey_values_too():
    target = torch.tensor([0.0, 0.3, 0.5, 1.0]).view(1, 1, 2, 2)
    assert torch.equal(BinaryHead().encode(target), target)


def test_binary_logits_are_decoded_by_the_sigmoid():
    logits = torch.tensor([0.0, math.log(3), -math.log(3), 1e4, -1e4, math.log(4)]).view(1, 1, 2, 3)
    expected = torch.tensor([0.5, 0.75, 0.25, 1.0, 0.0, 0.8]).view(1, 1, 2, 3)
    torch.testing.assert_close(BinaryHead().decode(logits), expected, atol=1e-6, rtol=0)


def test_decode_undoes_the_logit_of_what_was_encoded():
    head, target = BinaryHead(), torch.linspace(0.01, 0.99, 12).view(2, 1, 2, 3)
    torch.testing.assert_close(head.decode(head.encode(target).logit()), target)


def test_binary_head_has_one_channel():
    assert BinaryHead(channels=1).channels == 1


@pytest.mark.parametrize("channels", [0, 2])
def test_binary_head_refuses_other_channels(channels):
    with pytest.raises(ValueError, match=f"one channel, got channels = {channels}"):
        BinaryHead(channels=channels)
