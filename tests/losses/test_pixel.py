import pytest
import torch

from spt.errors import UserError
from spt.losses import FocalLoss, WeightedBCELoss, focal, weighted_binary_cross_entropy


def test_settings_reach_the_formula():
    logits, target = torch.randn(2, 2, 4, 5), torch.rand(2, 2, 4, 5)
    assert torch.equal(
        FocalLoss(0.9, 1.5, "sigmoid")(logits, target), focal(logits, target, 0.9, 1.5, activation="sigmoid")
    )
    assert torch.equal(WeightedBCELoss(3.0)(logits, target), weighted_binary_cross_entropy(logits, target, 3.0))


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(UserError, match=f"pos_weight must be finite and not negative, or null, got {weight}"):
        WeightedBCELoss(weight)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_an_alpha_that_is_no_share_is_refused(alpha):
    with pytest.raises(UserError, match=rf"alpha must lie in \[0, 1\] or be null, got {alpha}"):
        FocalLoss(alpha)


@pytest.mark.parametrize("gamma", [-1.0, float("inf"), float("nan")])
def test_a_gamma_that_is_negative_or_not_finite_is_refused(gamma):
    with pytest.raises(UserError, match=f"gamma must be 0 or more and finite, got {gamma}"):
        FocalLoss(gamma=gamma)
