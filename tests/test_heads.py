import inspect
import math

import pytest
import torch

from spt.heads import BinaryHead, Head, TwoClassHead

HEADS = [BinaryHead, TwoClassHead]


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


def test_two_class_target_becomes_foreground_and_background_grey_values_too():
    target = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)
    expected = torch.tensor([[0.0, 0.25, 0.5, 1.0], [1.0, 0.75, 0.5, 0.0]]).view(1, 2, 2, 2)
    assert torch.equal(TwoClassHead().encode(target), expected)


def test_two_class_logits_are_decoded_by_the_softmax_channel_0_is_the_foreground():
    foreground = torch.tensor([0.0, math.log(3), 0.0, 1e4, -1e4, 7 + math.log(4)])
    background = torch.tensor([0.0, 0.0, math.log(3), -1e4, 1e4, 7.0])
    logits = torch.stack([foreground, background]).view(1, 2, 2, 3)
    expected = torch.tensor([0.5, 0.75, 0.25, 1.0, 0.0, 0.8]).view(1, 1, 2, 3)
    torch.testing.assert_close(TwoClassHead().decode(logits), expected, atol=1e-6, rtol=0)


def test_two_class_decode_undoes_the_logarithm_of_what_was_encoded():
    head, target = TwoClassHead(), torch.linspace(0, 1, 12).view(2, 1, 2, 3)
    torch.testing.assert_close(head.decode(head.encode(target).log()), target)


def test_two_class_head_has_two_channels():
    assert TwoClassHead(channels=2).channels == 2


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_two_class_head_refuses_other_channels(channels):
    with pytest.raises(ValueError, match=f"two channels, got channels = {channels}"):
        TwoClassHead(channels=channels)


def test_prior_logits_by_hand():
    torch.testing.assert_close(BinaryHead().prior_logits(0.75), torch.tensor([math.log(3)]))
    torch.testing.assert_close(TwoClassHead().prior_logits(0.75), torch.tensor([math.log(3 / 4), math.log(1 / 4)]))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("share", [1e-6, 0.04, 0.5, 0.9])
def test_prior_logits_are_decoded_to_the_share(head, share):
    logits = head().prior_logits(share)
    assert logits.shape == (head().channels,)
    image = head().decode(logits.view(1, -1, 1, 1).expand(2, -1, 3, 4))
    torch.testing.assert_close(image, torch.full((2, 1, 3, 4), share))


@pytest.mark.parametrize("head", HEADS)
def test_every_head_satisfies_the_protocol(head):
    assert {name for name in vars(Head) if inspect.isfunction(vars(Head)[name])} >= {"encode", "decode", "prior_logits"}
    for name in ("encode", "decode", "prior_logits"):
        wanted, given = (inspect.signature(getattr(kind, name)).parameters for kind in (Head, head))
        assert list(given) == list(wanted)
    target = torch.rand(2, 1, 4, 6)
    encoded = head().encode(target)
    assert encoded.shape == (2, head().channels, 4, 6)
    assert head().decode(encoded).shape == target.shape


def test_heads_are_known_by_the_names_of_their_configurations():
    assert [head.name for head in HEADS] == ["binary", "two_class"]
