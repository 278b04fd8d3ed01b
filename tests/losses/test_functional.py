import math

import pytest
import torch
import torch.nn.functional as F

from spt.heads import GreyLevelsHead, TwoClassHead
from spt.losses import (
    binary_cross_entropy,
    cross_entropy,
    focal,
    mean_absolute_error,
    mean_squared_error,
    weighted_binary_cross_entropy,
)

LN3 = math.log(3)  # sigmoid 3/4
A, B = math.log(4 / 3), math.log(4)  # the costs of 3/4 and of 1/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


BY_HAND = {
    # The last two targets are grey and met exactly: their cost is the entropy. Gradient (p - t) / pixels.
    "bce": (
        binary_cross_entropy,
        image(1.0, 0.0, 0.5, 0.25),
        (A + B + math.log(2) + 0.25 * B + 0.75 * A) / 4,
        image(-0.0625, 0.1875, 0.0, 0.0),
    ),
    # One lit pixel of four, so w = 3: positives are amplified. Gradient ((1 - t) p - w t (1 - p)) / pixels.
    "weighted_bce": (
        weighted_binary_cross_entropy,
        image(1.0, 0.0, 0.0, 0.0),
        (3 * A + B + math.log(2) + A) / 4,
        image(-3 / 16, 3 / 16, 1 / 8, 1 / 16),
    ),
    # Costs alpha q^2 (-ln p) where lit, (1 - alpha) p^2 (-ln q) where dark.
    # Gradient alpha q^2 (2 p ln p - q) where lit, (1 - alpha) p^2 (p - 2 q ln q) where dark, over the pixels.
    "focal": (
        focal,
        image(1.0, 0.0, 1.0, 0.0),
        (A / 64 + 27 / 64 * B + math.log(2) / 16 + 3 / 64 * A) / 4,
        image(
            -(1.5 * A + 0.25) / 64,
            27 / 64 * (0.75 + 0.5 * B),
            -(math.log(2) + 0.5) / 16,
            3 / 64 * (0.25 + 1.5 * A),
        )
        / 4,
    ),
    # 2 (p - t) p (1 - p) / pixels
    "mse": (
        mean_squared_error,
        image(1.0, 0.0, 0.5, 0.0),
        11 / 64,
        image(-0.5, 1.5, 0.0, 0.5) * image(3 / 16, 3 / 16, 1 / 4, 3 / 16) / 4,
    ),
    # sign(p - t) p (1 - p) / pixels
    "l1": (
        mean_absolute_error,
        image(1.0, 0.0, 0.5, 0.0),
        5 / 16,
        image(-1.0, 1.0, 0.0, 1.0) * image(3 / 16, 3 / 16, 1 / 4, 3 / 16) / 4,
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_value_and_gradient_at_probabilities_34_34_12_14_by_hand(name):
    loss, target, value, gradient = BY_HAND[name]
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    result = loss(logits, target)
    assert result.item() == pytest.approx(value, rel=1e-6)
    result.backward()
    torch.testing.assert_close(logits.grad, gradient, atol=1e-7, rtol=1e-5)


def test_saturated_logits_cost_their_size_and_never_more():
    surely, lit = torch.full((1, 1, 2, 2), 1e4), torch.ones(1, 1, 2, 2)
    assert binary_cross_entropy(surely, 1 - lit).item() == 1e4
    assert weighted_binary_cross_entropy(surely, 1 - lit, 3.0).item() == 1e4
    assert weighted_binary_cross_entropy(-surely, lit, 3.0).item() == 3e4
    for loss in (mean_squared_error, mean_absolute_error):
        assert loss(-surely, lit).item() == 1
        assert loss(surely, lit).item() == 0


# Weighted positives ---------------------------------------------------------------------------------------------------


def test_grey_targets_weigh_by_their_sums_and_a_weight_of_1_is_plain_bce():
    logits, target = torch.randn(2, 1, 4, 5), torch.rand(2, 1, 4, 5)
    weight = ((1 - target).sum() / target.sum()).item()
    ours = weighted_binary_cross_entropy(logits, target)
    torch.testing.assert_close(ours, weighted_binary_cross_entropy(logits, target, weight))
    torch.testing.assert_close(weighted_binary_cross_entropy(logits, target, 1.0), binary_cross_entropy(logits, target))


def test_a_batch_without_positives_is_plain_bce_and_one_without_negatives_costs_nothing():
    logits = torch.randn(2, 1, 4, 5, requires_grad=True)
    empty, full = torch.zeros(2, 1, 4, 5), torch.ones(2, 1, 4, 5)
    assert torch.equal(weighted_binary_cross_entropy(logits, empty), binary_cross_entropy(logits, empty))
    loss = weighted_binary_cross_entropy(logits, full)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_the_weight_of_the_batch_does_not_depend_on_the_order():
    logits, target, order = torch.randn(4, 1, 5, 6), torch.rand(4, 1, 5, 6), torch.tensor([2, 0, 3, 1])
    shuffled = weighted_binary_cross_entropy(logits[order], target[order])
    torch.testing.assert_close(shuffled, weighted_binary_cross_entropy(logits, target))


# Softmax --------------------------------------------------------------------------------------------------------------


def test_cross_entropy_of_three_classes_by_hand():
    # p = 1/8, 2/8, 5/8
    logits = torch.tensor([1.0, 2.0, 5.0]).log().view(1, 3, 1, 1)
    third, halves = (torch.tensor(t).view(1, 3, 1, 1) for t in ([0.0, 0.0, 1.0], [0.5, 0.5, 0.0]))
    assert cross_entropy(logits, third).item() == pytest.approx(math.log(8 / 5), rel=1e-6)
    assert cross_entropy(logits, halves).item() == pytest.approx(2.5 * math.log(2), rel=1e-6)
    assert cross_entropy(logits, torch.tensor([[[1]]])).item() == pytest.approx(math.log(4), rel=1e-6)


def test_cross_entropy_is_binary_cross_entropy_averaged_over_both_softmax_channels():
    """The loss of the deep speckle correlation network."""
    logits, lit = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 1, 4, 5, dtype=torch.float64)
    target = TwoClassHead().encode(lit)
    torch.testing.assert_close(cross_entropy(logits, target), F.binary_cross_entropy(logits.softmax(dim=1), target))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_class_indices_in_half_precision_are_reduced_in_float32(dtype):
    # Full foreground, all of it missed: 65,536 costs of 8.0003354, between which half precision knows no number.
    logits = torch.tensor([-4.0, 4.0], dtype=dtype).view(1, 2, 1, 1).repeat(1, 1, 256, 256)
    missed = torch.zeros(1, 256, 256, dtype=torch.long)
    loss = cross_entropy(logits, missed)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(8 + math.log1p(math.exp(-8)), rel=1e-6)
    assert cross_entropy(logits, 1 - missed).item() == pytest.approx(math.log1p(math.exp(-8)), rel=1e-3)


@pytest.mark.parametrize("channels", [2, 5])
def test_class_indices_equal_one_hot_targets(channels):
    logits = torch.randn(3, channels, 4, 5, dtype=torch.float64, requires_grad=True)
    classes = torch.randint(channels, (3, 4, 5))
    one_hot = F.one_hot(classes, channels).movedim(-1, 1).double()
    losses = [cross_entropy, *(lambda x, t, g=g: focal(x, t, gamma=g) for g in (0.0, 0.5, 2.0))]
    for loss in losses:
        dense, sparse = loss(logits, one_hot), loss(logits, classes)
        torch.testing.assert_close(dense, sparse)
        torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (dense, sparse)))


def test_cross_entropy_of_one_channel_is_refused_with_the_remedy():
    for target in (torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"two or more channels, got 1\. Choose head=two_class\."):
            cross_entropy(torch.zeros(2, 1, 4, 4), target)


@pytest.mark.parametrize("loss", [cross_entropy, focal])
@pytest.mark.usefixtures("own_checks")
def test_class_indices_of_another_shape_are_refused(loss):
    for shape in ((2, 1, 4, 4), (2, 2, 4, 4), (1, 4, 4), (2, 4, 1)):
        with pytest.raises(ValueError, match="differ in shape"):
            loss(torch.zeros(2, 2, 4, 4), torch.zeros(shape, dtype=torch.long))


# Focal ----------------------------------------------------------------------------------------------------------------


def test_the_notes_example_an_easy_pixel_costs_a_four_hundredth():
    lit, logit = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.95).logit()
    assert (focal(logit, lit, None) / binary_cross_entropy(logit, lit)).item() == pytest.approx(1 / 400, rel=1e-4)


def test_two_softmax_classes_are_the_sigmoid_of_their_difference():
    logits, lit = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 1, 4, 5, dtype=torch.float64)
    for alpha in (None, 0.25, 0.9):
        for gamma in (0.0, 0.5, 1.0, 3.5):
            sigmoid = focal(logits[:, :1] - logits[:, 1:], lit, alpha, gamma)
            torch.testing.assert_close(focal(logits, TwoClassHead().encode(lit), alpha, gamma), sigmoid)


@pytest.mark.parametrize("indices", [False, True])
def test_alpha_does_not_enter_where_no_class_is_the_foreground(indices):
    logits, classes = torch.randn(2, 5, 4, 4), torch.randint(5, (2, 4, 4))
    target = classes if indices else F.one_hot(classes, 5).movedim(-1, 1).float()
    values = [focal(logits, target, alpha) for alpha in (None, 0.1, 0.9)]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


@pytest.mark.parametrize("form", ["sigmoid", "softmax", "indices"])
def test_a_root_of_what_is_surely_right_has_finite_first_and_second_derivatives(form):
    target = torch.ones(1, 1, 4, 4) if form == "sigmoid" else torch.zeros(1, 3, 4, 4)
    target[:, 0] = 1
    target = torch.zeros(1, 4, 4, dtype=torch.long) if form == "indices" else target
    for gamma in (0.0, 0.3, 1.0, 2.0):
        for level in (0.0, 1e-7, 30.0, 100.0, 1e4):
            logits = torch.full((1, 1 if form == "sigmoid" else 3, 4, 4), -level)
            logits[:, :1] = level
            value = focal(logits.requires_grad_(), target, gamma=gamma)
            (first,) = torch.autograd.grad(value, logits, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), logits)
            assert value >= 0, (gamma, level)
            assert first.abs().max() <= 1, (gamma, level)
            assert second.isfinite().all(), (gamma, level)


def test_class_indices_of_a_sigmoid_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"class indices need a softmax\. Choose head=grey_levels"):
        focal(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))


def test_equal_logits_of_256_levels_cost_by_hand():
    classes = GreyLevelsHead().encode(torch.rand(1, 1, 8, 8))
    value = focal(torch.zeros(1, 256, 8, 8), classes, activation="softmax")
    assert value.item() == pytest.approx((255 / 256) ** 2 * math.log(256), rel=1e-5)
