import math

import pytest
import torch

from spt.heads import TwoClassHead
from spt.losses import BCELoss, CELoss, CompoundLoss, DiceLoss, NPCCLoss

LN3 = math.log(3)  # sigmoid 3/4


def test_value_and_gradient_by_hand():
    # One lit pixel with p = 3/4: BCE ln 4/3 with gradient -1/4; Dice 1 - 6/7, gradient -2/(7/4)^2 * 3/16.
    logits = torch.full((1, 1, 1, 1), LN3, requires_grad=True)
    loss = CompoundLoss([BCELoss(), DiceLoss()], [2, 0.5])(logits, torch.ones(1, 1, 1, 1))
    assert loss.item() == pytest.approx(2 * math.log(4 / 3) + 0.5 / 7, abs=1e-6)
    loss.backward()
    assert logits.grad.item() == pytest.approx(-2 * 0.25 - 0.5 * 32 / 49 * 0.1875, abs=1e-6)


def test_one_loss_of_weight_one_is_that_loss():
    logits, target = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    assert torch.equal(CompoundLoss([NPCCLoss()], [1.0])(logits, target), NPCCLoss()(logits, target))


def test_weight_zero_takes_the_gradient_away():
    logits, target = torch.randn(2, 1, 4, 4, requires_grad=True), torch.rand(2, 1, 4, 4)
    (both,) = torch.autograd.grad(CompoundLoss([BCELoss(), DiceLoss()], [1.0, 0.0])(logits, target), logits)
    (bce,) = torch.autograd.grad(BCELoss()(logits, target), logits)
    torch.testing.assert_close(both, bce)


def test_parts_move_with_the_compound():
    class Learned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

    assert len(list(CompoundLoss([Learned(), BCELoss()], [1, 1]).parameters())) == 1


@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_never_nan(level, fill):
    logits = torch.full((2, 1, 4, 4), level, requires_grad=True)
    loss = CompoundLoss([BCELoss(), DiceLoss(), NPCCLoss()], [1, 1, 1])(logits, torch.full((2, 1, 4, 4), fill))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("losses", "weights", "counts"),
    [([], [], "0 losses and 0 weights"), ([BCELoss()], [1, 1], "1 losses and 2 weights")],
)
def test_one_weight_a_loss(losses, weights, counts):
    with pytest.raises(ValueError, match=f"one weight a loss, got {counts}"):
        CompoundLoss(losses, weights)


@pytest.mark.parametrize("weight", [-0.1, float("inf"), float("nan")])
def test_weights_are_finite_and_not_negative(weight):
    with pytest.raises(ValueError, match=rf"finite and not negative, got \[1, {weight}\]"):
        CompoundLoss([BCELoss(), DiceLoss()], [1, weight])


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        CompoundLoss([BCELoss()], [1])(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_two_softmax_channels_by_hand():
    # One lit pixel with p = 3/4 and 1/4: cross-entropy ln 4/3; Dice 1/7 on the foreground, 1 on the empty background.
    logits, lit = torch.tensor([2 + LN3, 2.0]).view(1, 2, 1, 1), torch.ones(1, 1, 1, 1)
    loss = CompoundLoss([CELoss(), DiceLoss()], [1, 1])(logits, TwoClassHead().encode(lit))
    assert loss.item() == pytest.approx(math.log(4 / 3) + 4 / 7, abs=1e-5)


def test_values_are_checked_once_for_all_parts():
    loss = CompoundLoss([BCELoss(), DiceLoss()], [1, 1], check=True)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\], got 2.0 at \(0, 0, 0, 0\)"):
        loss(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0))


class Undeclared(torch.nn.Module):
    """A loss of somebody who has not heard of heads."""


@pytest.mark.parametrize(
    ("losses", "heads"),
    [
        ([BCELoss(), DiceLoss()], ("binary",)),
        ([DiceLoss(), CELoss()], ("two_class",)),
        ([DiceLoss()], ("binary", "multi_label", "two_class")),
        ([DiceLoss(), DiceLoss(1e-7)], ("binary", "multi_label", "two_class")),
        ([NPCCLoss(), BCELoss(), DiceLoss()], ("binary",)),
        ([BCELoss(), CELoss()], ()),
        ([Undeclared(), CELoss()], ("grey_levels", "two_class")),
        ([CompoundLoss([CELoss(), DiceLoss()], [1, 1]), DiceLoss()], ("two_class",)),
    ],
)
def test_a_compound_goes_with_the_heads_that_all_of_its_losses_declare(losses, heads):
    assert CompoundLoss(losses, [1.0] * len(losses)).heads == heads


def test_a_compound_of_losses_that_declare_nothing_declares_nothing():
    assert not hasattr(CompoundLoss([Undeclared()], [1.0]), "heads")
