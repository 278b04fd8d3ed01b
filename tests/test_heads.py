import math

import pytest
import torch

from spt.errors import UserError
from spt.heads import BinaryHead, GreyLevelsHead, Head, MultiLabelHead, TwoClassHead

HEADS = [BinaryHead, TwoClassHead, GreyLevelsHead, MultiLabelHead]


def test_binary_target_is_encoded_as_itself_grey_values_too():
    target = torch.tensor([0.0, 0.3, 0.5, 1.0]).view(1, 1, 2, 2)
    assert torch.equal(BinaryHead().encode(target), target)


def test_binary_logits_are_decoded_by_the_sigmoid():
    logits = torch.tensor([0.0, math.log(3), -math.log(3), 1e4, -1e4, math.log(4)]).view(1, 1, 2, 3)
    expected = torch.tensor([0.5, 0.75, 0.25, 1.0, 0.0, 0.8]).view(1, 1, 2, 3)
    torch.testing.assert_close(BinaryHead().decode(logits), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [0, 2])
def test_binary_head_refuses_other_channels(channels):
    with pytest.raises(UserError, match=f"one channel, got channels = {channels}"):
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


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_two_class_head_refuses_other_channels(channels):
    with pytest.raises(UserError, match=f"two channels, got channels = {channels}"):
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


def test_heads_are_known_by_the_names_of_their_configurations():
    assert [head.name for head in HEADS] == ["binary", "two_class", "grey_levels", "multi_label"]


@pytest.mark.parametrize(
    ("head", "activation"), list(zip(HEADS, ["sigmoid", "softmax", "softmax", "sigmoid"], strict=True))
)
def test_every_head_says_how_its_logits_are_read(head, activation):
    assert head().activation == activation
    other = "softmax" if activation == "sigmoid" else "sigmoid"
    with pytest.raises(UserError, match=f"the {head.name} head reads its logits by {activation}, got .* = {other}"):
        head(activation=other)


@pytest.mark.parametrize("head", [GreyLevelsHead, MultiLabelHead])
@pytest.mark.parametrize("channels", [-1, 0, 1, 257])
def test_heads_of_several_channels_refuse_fewer_than_2_and_more_than_256(head, channels):
    with pytest.raises(UserError, match=f"the {head.name} head has 2 to 256 channels, got channels = {channels}"):
        head(channels=channels)
    assert [head(channels=c).channels for c in (2, 256)] == [2, 256]


# Grey levels ----------------------------------------------------------------------------------------------------------


def test_grey_target_becomes_the_index_of_the_nearest_level():
    target = torch.tensor([0.0, 0.1, 0.2, 0.6, 0.9, 1.0]).view(1, 1, 2, 3)
    classes = GreyLevelsHead(4).encode(target)
    assert classes.dtype == torch.long
    assert classes.tolist() == [[[0, 0, 1], [2, 3, 3]]]  # levels 0, 1/3, 2/3, 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_all_256_levels_of_a_camera_are_told_apart(dtype):
    levels = (torch.arange(256) / 255).view(1, 1, 16, 16)
    if dtype != torch.bfloat16:  # which has 8 bits, fewer than the levels
        assert torch.equal(GreyLevelsHead().encode(levels.to(dtype)).flatten(), torch.arange(256))
    logits = 50 * torch.eye(256, dtype=dtype).view(256, 256, 1, 1)
    for image in ("expected", "most_likely"):
        decoded = GreyLevelsHead(image=image).decode(logits)
        torch.testing.assert_close(decoded.flatten(), torch.arange(256) / 255, atol=1e-6, rtol=0)


def test_expected_and_most_likely_level_by_hand():
    # p = 1/2, 1/4, 1/4 of the levels 0, 1/2, 1
    logits = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 3, 1, 1) + 7
    assert GreyLevelsHead(3).decode(logits).item() == pytest.approx(3 / 8)
    assert GreyLevelsHead(3, image="most_likely").decode(logits).item() == 0


def test_a_target_met_exactly_is_decoded_within_half_a_step():
    target = torch.rand(2, 1, 5, 6)
    for channels in (2, 9, 256):
        logits = 100 * torch.nn.functional.one_hot(GreyLevelsHead(channels).encode(target), channels).movedim(-1, 1)
        for image in ("expected", "most_likely"):
            decoded = GreyLevelsHead(channels, image=image).decode(logits.float())
            assert (decoded - target).abs().max() <= 0.5 / (channels - 1) + 1e-6


def test_two_grey_levels_are_the_two_classes_turned_around():
    logits = torch.randn(2, 2, 3, 4)
    torch.testing.assert_close(GreyLevelsHead(2).decode(logits), TwoClassHead().decode(logits.flip(1)))


def test_an_image_that_is_none_is_refused():
    with pytest.raises(UserError, match="must be expected or most_likely, got mean"):
        GreyLevelsHead(image="mean")


@pytest.mark.parametrize("channels", [2, 16, 256])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5])
def test_the_prior_of_grey_levels_never_costs_more_than_equal_logits(channels, share):
    """Its cross-entropy on any image of that mean is its own entropy, black and white images included."""
    log_p = GreyLevelsHead(channels).prior_logits(share).double().log_softmax(0)
    entropy = -(log_p.exp() * log_p).sum().item()
    black_and_white = -((1 - share) * log_p[0] + share * log_p[-1]).item()
    assert black_and_white == pytest.approx(entropy, rel=1e-4)
    assert entropy <= math.log(channels) * (1 + 1e-6)


# Thermometer ----------------------------------------------------------------------------------------------------------


def test_labels_say_how_bright_a_pixel_is_at_least():
    # thresholds 1/6, 3/6, 5/6
    target = torch.tensor([0.0, 0.1, 0.2, 0.5, 0.8, 1.0]).view(1, 1, 2, 3)
    labels = MultiLabelHead(3).encode(target)
    assert labels.dtype == target.dtype
    assert labels.flatten(2)[0].T.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("channels", [2, 5, 16])
def test_right_labels_decode_within_half_a_step(channels):
    head, target = MultiLabelHead(channels), torch.rand(2, 1, 9, 8)
    decoded = head.decode(1e4 * (2 * head.encode(target) - 1))
    assert (decoded - target).abs().max() <= 0.5 / channels + 1e-6
    steps = (torch.arange(channels + 1) / channels).view(1, 1, 1, -1)
    torch.testing.assert_close(head.decode(1e4 * (2 * head.encode(steps) - 1)), steps)


def test_the_image_is_the_mean_probability():
    logits = torch.tensor([math.log(3), 0.0, -math.log(3)]).view(1, 3, 1, 1)
    assert MultiLabelHead(3).decode(logits).item() == pytest.approx(0.5)


# What every head offers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_every_head_encodes_and_decodes_to_an_image(head):
    target = torch.rand(2, 1, 4, 6)
    encoded = head().encode(target)
    assert encoded.shape == ((2, 4, 6) if head is GreyLevelsHead else (2, head().channels, 4, 6))
    image = head().decode(torch.randn(2, head().channels, 4, 6))
    assert image.shape == target.shape
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_decoded_in_float32(head, dtype):
    logits = torch.randn(2, head().channels, 4, 6).to(dtype)
    with torch.autocast("cpu", dtype):
        image = head().decode(logits)
    assert image.dtype == torch.float32
    assert torch.equal(image, head().decode(logits.float()))


def test_only_heads_whose_image_is_the_probability_of_light_can_be_calibrated():
    assert [head.gives_probabilities for head in HEADS] == [True, True, False, False]


def test_grey_levels_are_scored_by_the_levels_they_name():
    logits = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 1, 3)  # the last level is the most likely
    encoded = torch.tensor([[[5, 1, 0]]])
    scores = GreyLevelsHead(6).logit_metrics(logits, encoded)
    assert {name: value.tolist() for name, value in scores.items()} == {
        "top1": [pytest.approx(1 / 3)],
        "top5": [pytest.approx(2 / 3)],
    }
    assert list(GreyLevelsHead(5).logit_metrics(logits[:, :5], encoded.clamp(max=4))) == ["top1"]


def test_a_head_of_ones_own_has_the_defaults_and_must_say_what_its_channels_mean():
    class Inverted(Head):
        name = "inverted"

        def __init__(self) -> None:
            self.channels, self.activation = 1, "sigmoid"

        def encode(self, target: torch.Tensor) -> torch.Tensor:
            return 1 - target

        def decode(self, logits: torch.Tensor) -> torch.Tensor:
            return 1 - logits.sigmoid()

        def prior_logits(self, share: float) -> torch.Tensor:
            return -BinaryHead().prior_logits(share)

    head = Inverted()
    assert (head.gives_probabilities, head.like) == (True, "")
    assert head.logit_metrics(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)) == {}
    with pytest.raises(TypeError, match="abstract"):
        type("Unfinished", (Head,), {"name": "unfinished"})()
