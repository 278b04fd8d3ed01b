import math

import pytest
import torch

from spt.errors import UserError
from spt.losses import BCELoss, CELoss, CompoundLoss, DiceLoss, NPCCLoss

LN3 = math.log(3)  # sigmoid 3/4


def test_value_and_gradient_by_hand():
    # One lit pixel with p = 3/4: BCE ln 4/3 with gradient -1/4; Dice 1 - 6/7, gradient -2/(7/4)^2 * 3/16.
    logits = torch.full((1, 1, 1, 1), LN3, requires_grad=True)
    loss = CompoundLoss([BCELoss(), DiceLoss()], [2.0, 0.5])(logits, torch.ones(1, 1, 1, 1))
    assert loss.item() == pytest.approx(2 * math.log(4 / 3) + 0.5 / 7, abs=1e-6)
    loss.backward()
    assert logits.grad.item() == pytest.approx(-2 * 0.25 - 0.5 * 32 / 49 * 0.1875, abs=1e-6)


def test_one_loss_of_weight_one_is_that_loss():
    logits, target = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    assert torch.equal(CompoundLoss([NPCCLoss()], [1.0])(logits, target), NPCCLoss()(logits, target))


def test_parts_move_with_the_compound():
    class Learned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

    assert len(list(CompoundLoss([Learned(), BCELoss()], [1.0, 1.0]).parameters())) == 1


@pytest.mark.parametrize(
    ("losses", "weights", "counts"),
    [([], [], "0 losses and 0 weights"), ([BCELoss()], [1.0, 1.0], "1 losses and 2 weights")],
)
def test_one_weight_a_loss(losses, weights, counts):
    with pytest.raises(UserError, match=f"one weight a loss, got {counts}"):
        CompoundLoss(losses, weights)


@pytest.mark.parametrize("weight", [-0.1, float("inf"), float("nan")])
def test_weights_are_finite_and_not_negative(weight):
    with pytest.raises(UserError, match=rf"finite and not negative, got \[1.0, {weight}\]"):
        CompoundLoss([BCELoss(), DiceLoss()], [1.0, weight])


def test_values_are_checked_once_for_all_parts():
    loss = CompoundLoss([BCELoss(), DiceLoss()], [1.0, 1.0], check=True)
    with pytest.raises(UserError, match=r"target must lie in \[0, 1\], got 2.0 at \(0, 0, 0, 0\)"):
        loss(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0))


class Undeclared(torch.nn.Module):
    """A loss of somebody who has not heard of heads."""


@pytest.mark.parametrize(
    ("losses", "heads"),
    [
        ([BCELoss(), DiceLoss()], ("binary",)),
        ([DiceLoss()], ("binary", "multi_label", "two_class")),
        ([BCELoss(), CELoss()], ()),
        ([Undeclared(), CELoss()], ("grey_levels", "two_class")),
        ([CompoundLoss([CELoss(), DiceLoss()], [1.0, 1.0]), DiceLoss()], ("two_class",)),
        ([Undeclared()], None),
    ],
)
def test_a_compound_goes_with_the_heads_that_all_of_its_losses_declare(losses, heads):
    assert CompoundLoss(losses, [1.0] * len(losses)).heads == heads
