import math

import pytest
import torch
import torch.nn.functional as F

from spt.heads import GreyLevelsHead, TwoClassHead
from spt.losses import BCELoss, CELoss, FocalLoss, focal

LN3 = math.log(3)  # sigmoid 3/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def test_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4; costs alpha q^2 (-ln p) where lit, (1 - alpha) p^2 (-ln q) where dark.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = image(1.0, 0.0, 1.0, 0.0)
    a, b, half = math.log(4 / 3), math.log(4), math.log(2)
    loss = FocalLoss()(logits, target)
    assert loss.item() == pytest.approx((a / 64 + 27 / 64 * b + half / 16 + 3 / 64 * a) / 4, rel=1e-6)
    loss.backward()
    # alpha q^2 (2 p ln p - q) where lit, (1 - alpha) p^2 (p - 2 q ln q) where dark, over the pixels.
    expected = image(-(1.5 * a + 0.25) / 64, 27 / 64 * (0.75 + 0.5 * b), -(half + 0.5) / 16, 3 / 64 * (0.25 + 1.5 * a))
    torch.testing.assert_close(logits.grad, expected / 4, atol=1e-7, rtol=1e-5)


def test_the_notes_example_an_easy_pixel_costs_a_four_hundredth():
    lit, logit = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.95).logit()
    assert (FocalLoss(None)(logit, lit) / BCELoss()(logit, lit)).item() == pytest.approx(1 / 400, rel=1e-4)


@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.5])
def test_two_softmax_classes_are_the_sigmoid_of_their_difference(alpha, gamma):
    logits, lit = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.rand(3, 1, 4, 5, dtype=torch.float64)
    sigmoid = focal(logits[:, :1] - logits[:, 1:], lit, alpha, gamma)
    torch.testing.assert_close(focal(logits, TwoClassHead().encode(lit), alpha, gamma), sigmoid)


@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_class_indices_equal_one_hot_targets(channels, gamma):
    logits = torch.randn(3, channels, 4, 5, dtype=torch.float64, requires_grad=True)
    classes = torch.randint(channels, (3, 4, 5))
    one_hot = F.one_hot(classes, channels).movedim(-1, 1).double()
    dense, sparse = focal(logits, one_hot, gamma=gamma), focal(logits, classes, gamma=gamma)
    torch.testing.assert_close(dense, sparse)
    grads = (torch.autograd.grad(value, logits)[0] for value in (dense, sparse))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("indices", [False, True])
def test_alpha_does_not_enter_where_no_class_is_the_foreground(indices):
    logits, classes = torch.randn(2, 5, 4, 4), torch.randint(5, (2, 4, 4))
    target = classes if indices else F.one_hot(classes, 5).movedim(-1, 1).float()
    values = [focal(logits, target, alpha) for alpha in (None, 0.1, 0.9)]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


def test_gamma_0_of_grey_levels_is_the_cross_entropy():
    logits, classes = torch.randn(2, 7, 4, 4), torch.randint(7, (2, 4, 4))
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, classes), CELoss()(logits, classes))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("level", [0.0, 1e-7, 30.0, 100.0, 1e4])
@pytest.mark.parametrize("form", ["sigmoid", "softmax", "indices"])
def test_a_root_of_what_is_surely_right_is_no_nan(form, level, gamma):
    logits = torch.full((1, 1 if form == "sigmoid" else 3, 4, 4), -level)
    logits[:, :1] = level
    logits.requires_grad_()
    target = torch.ones(1, 1, 4, 4) if form == "sigmoid" else torch.zeros(1, 3, 4, 4)
    target[:, 0] = 1
    value = focal(logits, torch.zeros(1, 4, 4, dtype=torch.long) if form == "indices" else target, gamma=gamma)
    value.backward()
    assert value >= 0
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() <= 1


def test_class_indices_of_a_sigmoid_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"class indices need a softmax\. Choose head=grey_levels"):
        FocalLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="differ in shape"):
        FocalLoss()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.long))


def test_the_256_levels_of_the_default_configuration_train():
    head = GreyLevelsHead()
    logits = torch.zeros(1, 256, 8, 8, requires_grad=True)
    value = FocalLoss(activation=head.activation)(logits, head.encode(torch.rand(1, 1, 8, 8)))
    value.backward()
    assert value.item() == pytest.approx((255 / 256) ** 2 * math.log(256), rel=1e-5)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("alpha", "gamma"), [(-0.1, 2.0), (1.1, 2.0), (float("nan"), 2.0)])
def test_an_alpha_that_is_no_share_is_refused(alpha, gamma):
    with pytest.raises(ValueError, match=rf"alpha must lie in \[0, 1\] or be null, got {alpha}"):
        FocalLoss(alpha, gamma)


@pytest.mark.parametrize("gamma", [-1.0, float("inf"), float("nan")])
def test_a_gamma_that_is_negative_or_not_finite_is_refused(gamma):
    with pytest.raises(ValueError, match=f"gamma must be 0 or more and finite, got {gamma}"):
        FocalLoss(gamma=gamma)
