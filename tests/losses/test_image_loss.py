import pytest
import torch

from spt.losses import BCELoss, CELoss, FocalLoss, ImageLoss

ONE = torch.zeros(2, 1, 3, 3)


def with_value(value: float, at: tuple[int, ...] = (1, 0, 2, 1), like: torch.Tensor = ONE) -> torch.Tensor:
    changed = like.clone()
    changed[at] = value
    return changed


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_target_out_of_range_is_named_with_its_place(value):
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\], got .* at \(1, 0, 2, 1\) and 1 such in all"):
        BCELoss(check=True)(ONE, with_value(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_named_with_their_place(value):
    with pytest.raises(ValueError, match=r"logits must be finite, got .* at \(1, 0, 2, 1\).* Lower optimizer\.lr"):
        BCELoss(check=True)(with_value(value), ONE)


@pytest.mark.parametrize("loss", [CELoss(check=True), FocalLoss(check=True)])
@pytest.mark.parametrize("value", [-1, 3])
def test_class_indices_outside_the_channels_are_named(loss, value):
    classes = with_value(value, (1, 2, 1), torch.zeros(2, 3, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=rf"class indices must lie in 0\.\.2, got {value} at \(1, 2, 1\)"):
        loss(torch.zeros(2, 3, 3, 3), classes)


def test_values_in_range_pass_and_change_nothing():
    logits, target = torch.randn(2, 1, 3, 3), torch.tensor([0.0, 0.5, 1.0]).expand(2, 1, 3, 3)
    assert torch.equal(BCELoss(check=True)(logits, target), BCELoss()(logits, target))
    classes = torch.tensor([0, 1, 2]).expand(2, 3, 3)
    assert CELoss(check=True)(torch.zeros(2, 3, 3, 3), classes).isfinite()


def test_without_check_no_value_is_looked_at():
    assert BCELoss()(with_value(float("nan")), ONE).isnan()


def test_a_loss_without_a_formula_says_so():
    with pytest.raises(NotImplementedError):
        ImageLoss()(ONE, ONE)
