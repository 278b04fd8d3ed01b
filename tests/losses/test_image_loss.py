import pytest
import torch
from conftest import ROOT
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from spt.errors import UserError
from spt.heads import BinaryHead, GreyLevelsHead, MultiLabelHead, TwoClassHead
from spt.losses import (
    BCELoss,
    CELoss,
    CompoundLoss,
    DiceLoss,
    FocalLoss,
    ImageLoss,
    SSIMLoss,
    check_head,
    minimum_size,
)

ONE = torch.zeros(2, 1, 3, 3)


def with_value(value: float, at: tuple[int, ...] = (1, 0, 2, 1), like: torch.Tensor = ONE) -> torch.Tensor:
    changed = like.clone()
    changed[at] = value
    return changed


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_target_out_of_range_is_named_with_its_place(value):
    with pytest.raises(UserError, match=r"target must lie in \[0, 1\], got .* at \(1, 0, 2, 1\) and 1 such in all"):
        BCELoss(check=True)(ONE, with_value(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_named_with_their_place(value):
    with pytest.raises(UserError, match=r"logits must be finite, got .* at \(1, 0, 2, 1\).* Lower optimizer\.lr"):
        BCELoss(check=True)(with_value(value), ONE)


@pytest.mark.parametrize("value", [-1, 3])
def test_class_indices_outside_the_channels_are_named(value):
    classes = with_value(value, (1, 2, 1), torch.zeros(2, 3, 3, dtype=torch.long))
    with pytest.raises(UserError, match=rf"class indices must lie in 0\.\.2, got {value} at \(1, 2, 1\)"):
        CELoss(check=True)(torch.zeros(2, 3, 3, 3), classes)


def test_values_in_range_pass_and_change_nothing():
    logits, target = torch.randn(2, 1, 3, 3), torch.tensor([0.0, 0.5, 1.0]).expand(2, 1, 3, 3)
    assert torch.equal(BCELoss(check=True)(logits, target), BCELoss()(logits, target))
    classes = torch.tensor([0, 1, 2]).expand(2, 3, 3)
    assert CELoss(check=True)(torch.zeros(2, 3, 3, 3), classes).isfinite()


def test_without_check_no_value_is_looked_at():
    assert BCELoss()(with_value(float("nan")), ONE).isnan()


# Heads ----------------------------------------------------------------------------------------------------------------

HEADS = {
    "binary": BinaryHead(),
    "two_class": TwoClassHead(),
    "grey_levels": GreyLevelsHead(5),
    "multi_label": MultiLabelHead(3),
}
PAIRS = {
    "binary": "bce bce_dice bce_iou dice focal focal_dice iou l1 mse npcc npcc_bce ssim weighted_bce",
    "two_class": "ce ce_dice dice focal focal_dice iou",
    "grey_levels": "ce focal",
    "multi_label": "dice focal focal_dice iou",
}
"""Which losses go with a head: docs/losses.md."""


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs" / "loss").glob("*.yaml")))
def test_the_losses_of_every_head_train_with_it_and_all_others_are_refused(name):
    cfg = OmegaConf.load(ROOT / "configs" / "loss" / f"{name}.yaml")
    cfg.pop("defaults", None)
    for kind, head in HEADS.items():
        loss = instantiate(OmegaConf.create({"loss": cfg, "head": {"activation": head.activation}}).loss)
        if name in PAIRS[kind].split():
            check_head(loss, head)
            logits = torch.randn(2, head.channels, 12, 12, requires_grad=True)
            value = loss(logits, head.encode(torch.rand(2, 1, 12, 12)))
            value.backward()
            assert value.shape == ()
            assert logits.grad.abs().sum() > 0
        else:
            with pytest.raises(UserError, match=f"does not go with head={kind}; it goes with head="):
                check_head(loss, head)


def test_losses_without_a_head_in_common_are_refused():
    with pytest.raises(UserError, match="the losses of this CompoundLoss have no head in common"):
        check_head(CompoundLoss([BCELoss(), CELoss()], [1.0, 1.0]), BinaryHead())


def test_a_part_that_reads_the_channels_in_another_way_is_refused_with_the_remedy():
    within = CompoundLoss([DiceLoss(activation="sigmoid"), FocalLoss()], [1.0, 1.0])
    with pytest.raises(UserError, match=r"FocalLoss would read the logits by softmax, head=multi_label by sigmoid\."):
        check_head(within, MultiLabelHead(3))
    with pytest.raises(UserError, match=r"DiceLoss would read .* by sigmoid.*Write activation: \$\{head\.activation\}"):
        DiceLoss(activation="sigmoid").check_head(TwoClassHead())
    check_head(DiceLoss(), BinaryHead())  # auto


def test_a_loss_of_ones_own_declares_nothing_and_goes_with_every_head():
    class Distance(nn.Module):
        activation = nn.ReLU()  # means something else

        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return (logits - target).abs().mean()

    for head in HEADS.values():
        check_head(Distance(), head)
        check_head(CompoundLoss([Distance()], [1.0]), head)
    with pytest.raises(UserError, match="does not go with head=binary"):
        check_head(CompoundLoss([Distance(), CELoss()], [1.0, 1.0]), BinaryHead())


def test_a_new_head_says_which_one_it_is_like():
    class Phase(GreyLevelsHead):
        name = "phase"

    with pytest.raises(UserError, match="CELoss does not go with head=phase; it goes with head=two_class or head=grey"):
        check_head(CELoss(), Phase(5))
    Phase.like = "grey_levels"
    check_head(CELoss(), Phase(5))
    with pytest.raises(UserError, match="DiceLoss does not go with head=phase"):
        check_head(DiceLoss(), Phase(5))


def test_the_least_size_is_that_of_the_part_that_needs_most():
    assert minimum_size(CompoundLoss([BCELoss(), SSIMLoss()], [1.0, 1.0])) == 11
    assert minimum_size(BCELoss()) == minimum_size(nn.L1Loss()) == 1


def test_a_loss_without_a_formula_says_so():
    with pytest.raises(NotImplementedError):
        ImageLoss()(ONE, ONE)
