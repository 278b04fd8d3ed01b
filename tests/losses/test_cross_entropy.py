import math

import pytest
import torch
import torch.nn.functional as F

from spt.heads import TwoClassHead
from spt.losses import (
    BCELoss,
    CELoss,
    WeightedBCELoss,
    binary_cross_entropy,
    cross_entropy,
    weighted_binary_cross_entropy,
)

LN3 = math.log(3)  # sigmoid 3/4
EXTREMES = [-1e4, 0.0, 1e4]


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def test_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4; the last two targets are grey and met exactly: their cost is the entropy.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = image(1.0, 0.0, 0.5, 0.25)
    a, b = math.log(4 / 3), math.log(4)
    loss = BCELoss()(logits, target)
    assert loss.item() == pytest.approx((a + b + math.log(2) + 0.25 * b + 0.75 * a) / 4, rel=1e-6)
    assert loss.item() == pytest.approx(0.7323647, abs=1e-6)
    loss.backward()
    # (p - t) / pixels
    torch.testing.assert_close(logits.grad, image(-0.0625, 0.1875, 0.0, 0.0), atol=1e-7, rtol=0)


def test_value_is_the_mean_of_the_images_alone():
    logits, target = torch.randn(3, 1, 4, 5), torch.rand(3, 1, 4, 5)
    alone = [binary_cross_entropy(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(binary_cross_entropy(logits, target), torch.stack(alone).mean())


def test_saturated_logits_cost_their_size():
    assert binary_cross_entropy(torch.full((1, 1, 2, 2), 1e4), torch.zeros(1, 1, 2, 2)).item() == 1e4
    assert binary_cross_entropy(torch.full((1, 1, 2, 2), 1e4), torch.ones(1, 1, 2, 2)).item() == 0


@pytest.mark.parametrize("level", EXTREMES)
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_never_nan(level, fill):
    logits = torch.full((2, 1, 4, 4), level, requires_grad=True)
    loss = BCELoss()(logits, torch.full((2, 1, 4, 4), fill))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    logits = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)).to(dtype)
    target = (logits > 0.3).to(dtype)
    loss = binary_cross_entropy(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, binary_cross_entropy(logits.float(), target.float()))


def test_missing_channel_axis_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 1, 4, 4\) and \(2, 4, 4\)\. Add the channel axis"):
        BCELoss()(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_broadcastable_shapes_are_refused():
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 1, 4, 4\) and \(1, 1, 4, 4\)\.$"):
        binary_cross_entropy(torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 4, 4))


# Weighted positives ---------------------------------------------------------------------------------------------------


def test_weighted_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4; one lit pixel of four, so w = 3: positives are amplified, not suppressed as the notes say.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = image(1.0, 0.0, 0.0, 0.0)
    loss = WeightedBCELoss()(logits, target)
    a, b = math.log(4 / 3), math.log(4)
    assert loss.item() == pytest.approx((3 * a + b + math.log(2) + a) / 4, rel=1e-6)
    loss.backward()
    # ((1 - t) p - w t (1 - p)) / pixels
    torch.testing.assert_close(logits.grad, image(-3 / 16, 3 / 16, 1 / 8, 1 / 16), atol=1e-7, rtol=0)


def test_grey_targets_weigh_by_their_sums():
    logits, target = torch.randn(2, 1, 4, 5), torch.rand(2, 1, 4, 5)
    weight = ((1 - target).sum() / target.sum()).item()
    ours = weighted_binary_cross_entropy(logits, target)
    torch.testing.assert_close(ours, weighted_binary_cross_entropy(logits, target, weight))


def test_a_batch_without_positives_is_plain_bce_and_one_without_negatives_costs_nothing():
    logits = torch.randn(2, 1, 4, 5, requires_grad=True)
    empty, full = torch.zeros(2, 1, 4, 5), torch.ones(2, 1, 4, 5)
    assert torch.equal(WeightedBCELoss()(logits, empty), BCELoss()(logits, empty))
    loss = WeightedBCELoss()(logits, full)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_weight_1_is_plain_bce():
    logits, target = torch.randn(2, 1, 4, 5), torch.rand(2, 1, 4, 5)
    torch.testing.assert_close(WeightedBCELoss(1.0)(logits, target), BCELoss()(logits, target))


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ValueError, match=f"pos_weight must be finite and not negative, or null, got {weight}"):
        WeightedBCELoss(weight)


# Softmax channels -----------------------------------------------------------------------------------------------------


def two_class(*foreground: float) -> torch.Tensor:
    """Logits of both channels whose difference is given; the softmax does not see what they share."""
    shared = torch.tensor([5.0, -3.0, 0.0, 11.0]).view(1, 1, 2, -1)
    return torch.cat([image(*foreground) + shared, shared], dim=1)


def test_ce_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4 for the foreground; the numbers of the sigmoid above.
    logits = two_class(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = TwoClassHead().encode(image(1.0, 0.0, 0.5, 0.25))
    loss = CELoss()(logits, target)
    assert loss.item() == pytest.approx(0.7323647, abs=1e-6)
    loss.backward()
    # (p_c - t_c) / pixels
    foreground = image(-0.0625, 0.1875, 0.0, 0.0)
    torch.testing.assert_close(logits.grad, torch.cat([foreground, -foreground], dim=1), atol=1e-6, rtol=0)


def test_ce_of_three_classes_by_hand():
    # p = 1/8, 2/8, 5/8
    logits = torch.tensor([1.0, 2.0, 5.0]).log().view(1, 3, 1, 1)
    third, halves = (torch.tensor(t).view(1, 3, 1, 1) for t in ([0.0, 0.0, 1.0], [0.5, 0.5, 0.0]))
    assert cross_entropy(logits, third).item() == pytest.approx(math.log(8 / 5), rel=1e-6)
    assert cross_entropy(logits, halves).item() == pytest.approx(2.5 * math.log(2), rel=1e-6)
    assert cross_entropy(logits, torch.tensor([[[1]]])).item() == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize("channels", [2, 3])
def test_ce_gradient_is_p_minus_t_over_pixels(channels):
    logits = torch.randn(2, channels, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, channels, 4, 5, dtype=torch.float64).softmax(dim=1)
    (grad,) = torch.autograd.grad(cross_entropy(logits, target), logits)
    torch.testing.assert_close(grad, (logits.softmax(dim=1) - target).detach() / (2 * 4 * 5))


def test_ce_gradient_agrees_with_finite_differences():
    logits = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = TwoClassHead().encode(torch.rand(2, 1, 3, 3, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, target), (logits,))


@pytest.mark.parametrize("grey", [False, True])
def test_ce_is_binary_cross_entropy_averaged_over_both_softmax_channels(grey):
    """The loss of the deep speckle correlation network."""
    logits, lit = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 1, 4, 5, dtype=torch.float64)
    target = TwoClassHead().encode(lit if grey else lit.round())
    published = F.binary_cross_entropy(logits.softmax(dim=1), target)
    torch.testing.assert_close(cross_entropy(logits, target), published)
    sigmoid = binary_cross_entropy(logits[:, :1] - logits[:, 1:], target[:, :1])
    torch.testing.assert_close(cross_entropy(logits, target), sigmoid)


@pytest.mark.parametrize("channels", [2, 3])
def test_class_indices_equal_one_hot_targets(channels):
    logits, classes = torch.randn(3, channels, 4, 5), torch.randint(channels, (3, 4, 5))
    one_hot = F.one_hot(classes, channels).movedim(-1, 1).float()
    torch.testing.assert_close(cross_entropy(logits, classes), cross_entropy(logits, one_hot))


def test_ce_is_the_mean_of_the_images_alone():
    logits, target = torch.randn(3, 2, 4, 5), TwoClassHead().encode(torch.rand(3, 1, 4, 5))
    alone = [cross_entropy(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(cross_entropy(logits, target), torch.stack(alone).mean())


@pytest.mark.parametrize("indices", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ce_in_half_precision_is_reduced_in_float32(dtype, indices):
    # Full foreground, all of it missed: 65,536 costs of 8.0003354, between which half precision knows no number.
    logits = torch.tensor([-4.0, 4.0], dtype=dtype).view(1, 2, 1, 1).repeat(1, 1, 256, 256).requires_grad_()
    target = TwoClassHead().encode(torch.ones(1, 1, 256, 256, dtype=dtype))
    loss = cross_entropy(logits, target.argmax(dim=1) if indices else target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(8 + math.log1p(math.exp(-8)), rel=1e-6)
    loss.backward()
    assert logits.grad.isfinite().all()
    met = cross_entropy(-logits.detach(), target)
    assert met.item() == pytest.approx(math.log1p(math.exp(-8)), rel=1e-3)


@pytest.mark.parametrize("level", EXTREMES)
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_ce_is_never_nan(level, fill):
    logits = torch.full((2, 2, 4, 4), level)
    logits[:, 1:] *= -1
    logits.requires_grad_()
    loss = CELoss()(logits, TwoClassHead().encode(torch.full((2, 1, 4, 4), fill)))
    loss.backward()
    # Two channels apart by 2e4 cost 2e4 on the wrong one.
    wrong = abs(fill - (level > 0)) * 2e4 if level else math.log(2)
    assert loss.item() == pytest.approx(wrong, rel=1e-6)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("target", [torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)])
def test_ce_of_one_channel_is_refused_with_the_remedy(target):
    with pytest.raises(ValueError, match=r"two or more channels, got 1\. Choose head=two_class\."):
        CELoss()(torch.zeros(2, 1, 4, 4), target)


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 1, 4, 4), (1, 2, 4, 4), (2, 3, 4, 4), (2, 2, 4, 1)])
def test_ce_refuses_probabilities_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"logits and target differ in shape: \(2, 2, 4, 4\)"):
        cross_entropy(torch.zeros(2, 2, 4, 4), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (2, 2, 4, 4), (1, 4, 4), (2, 4, 1)])
def test_ce_refuses_class_indices_of_another_shape(shape):
    with pytest.raises(ValueError, match="differ in shape"):
        cross_entropy(torch.zeros(2, 2, 4, 4), torch.zeros(shape, dtype=torch.long))


def test_each_cross_entropy_declares_its_head():
    assert BCELoss.heads == ("binary",)
    assert CELoss.heads == ("two_class", "grey_levels")
