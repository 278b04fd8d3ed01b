"""Our values and those of segmentation_models_pytorch, MONAI and torchmetrics; where they differ, why ours."""

import monai.losses as monai
import pytest
import segmentation_models_pytorch.losses as smp
import torch
import torchmetrics.functional as metrics
from torch import Tensor

from spt.losses import (
    BCELoss,
    CELoss,
    CompoundLoss,
    DiceLoss,
    FocalLoss,
    IoULoss,
    L1Loss,
    MSELoss,
    NPCCLoss,
    SSIMLoss,
    WeightedBCELoss,
)

close = torch.testing.assert_close


@pytest.fixture
def one() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of one channel, a grey and a binary target."""
    values = torch.rand(3, 1, 24, 20) * torch.tensor([0.3, 0.7, 1.0]).view(3, 1, 1, 1)
    return torch.randn(3, 1, 24, 20), values, (values > 0.2).float()


@pytest.fixture
def two() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of two classes, a binary target of both, its class indices."""
    target = (torch.rand(3, 1, 24, 20) > torch.tensor([0.9, 0.5, 0.2]).view(3, 1, 1, 1)).float()
    target = torch.cat([target, 1 - target], dim=1)
    return torch.randn(3, 2, 24, 20), target, target.argmax(1)


# Where the definitions agree ------------------------------------------------------------------------------------------


def test_cross_entropies_agree_with_smp(one, two):
    logits, grey, _ = one
    close(BCELoss()(logits, grey), smp.SoftBCEWithLogitsLoss()(logits, grey))
    close(WeightedBCELoss(3.0)(logits, grey), smp.SoftBCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(logits, grey))
    logits, target, classes = two
    close(CELoss()(logits, target), smp.SoftCrossEntropyLoss(smooth_factor=0.0)(logits, classes))


@pytest.mark.parametrize(("ours", "jaccard"), [(DiceLoss, False), (IoULoss, True)])
def test_overlap_per_image_agrees_with_monai(one, two, ours, jaccard):
    for logits, target in ((one[0], one[1]), two[:2]):
        softmax = logits.shape[1] > 1
        theirs = monai.DiceLoss(sigmoid=not softmax, softmax=softmax, jaccard=jaccard, smooth_nr=1e-6, smooth_dr=1e-6)
        close(ours()(logits, target), theirs(logits, target))


def test_dice_without_the_background_agrees_with_monai(two):
    logits, target, _ = two
    # MONAI's channel 0 is the background, ours the foreground.
    theirs = monai.DiceLoss(softmax=True, include_background=False)
    close(DiceLoss(foreground_only=True)(logits, target), theirs(logits.flip(1), target.flip(1)))


@pytest.mark.parametrize(("ours", "theirs"), [(DiceLoss, smp.DiceLoss), (IoULoss, smp.JaccardLoss)])
def test_overlap_per_batch_agrees_with_smp(one, two, ours, theirs):
    close(ours(per_image=False)(one[0], one[2]), theirs("binary")(one[0], one[2]), rtol=1e-5, atol=1e-6)
    close(ours(per_image=False)(two[0], two[1]), theirs("multiclass")(two[0], two[2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_sigmoid_focal_of_binary_targets_agrees_with_both(one, gamma):
    logits, _, target = one
    ours = FocalLoss(0.25, gamma)(logits, target)
    close(ours, smp.FocalLoss("binary", alpha=0.25, gamma=gamma)(logits, target))
    close(ours, monai.FocalLoss(alpha=0.25, gamma=gamma)(logits, target))


def test_compounds_agree_with_monai(one, two):
    logits, _, target = one
    close(
        CompoundLoss([BCELoss(), DiceLoss()], [1.0, 1.0])(logits, target),
        monai.DiceCELoss(sigmoid=True)(logits, target),
    )
    theirs = monai.DiceFocalLoss(sigmoid=True, alpha=0.25)(logits, target)
    close(CompoundLoss([FocalLoss(), DiceLoss()], [1.0, 1.0])(logits, target), theirs)
    logits, target, _ = two
    close(
        CompoundLoss([CELoss(), DiceLoss()], [1.0, 1.0])(logits, target), monai.DiceCELoss(softmax=True)(logits, target)
    )


def test_image_losses_agree_with_torchmetrics_and_monai(one):
    logits, grey, _ = one
    p = logits.sigmoid()
    close(MSELoss()(logits, grey), metrics.mean_squared_error(p, grey))
    close(L1Loss()(logits, grey), metrics.mean_absolute_error(p, grey))
    pearson = metrics.pearson_corrcoef(p.flatten(1).T.contiguous(), grey.flatten(1).T.contiguous())
    close(NPCCLoss()(logits, grey), -pearson.mean(), rtol=1e-5, atol=1e-6)
    close(SSIMLoss()(logits, grey), monai.SSIMLoss(2, win_size=11, kernel_sigma=1.5)(p, grey), rtol=1e-5, atol=1e-5)


def test_saturated_overlap_is_the_torchmetrics_score_of_masks(one):
    mask, target = (one[0] > 0).float(), one[2]
    score = metrics.classification.binary_jaccard_index
    expected = torch.stack([score(m, t) for m, t in zip(mask, target, strict=True)]).mean()
    close(IoULoss()(1e4 * (2 * mask - 1), target), 1 - expected)


# Where they do not, and why ours --------------------------------------------------------------------------------------


def test_smp_dice_depends_on_how_images_are_batched_and_ours_does_not(one):
    """SMP sums over the batch (#712), so that a dark image beside a bright one hardly counts."""
    logits, _, target = one
    for ours, theirs in ((DiceLoss(), smp.DiceLoss("binary")), (IoULoss(), smp.JaccardLoss("binary"))):
        pairs = [(logits[k : k + 1], target[k : k + 1]) for k in range(3)]
        alone = torch.stack([ours(*pair) for pair in pairs]).mean()
        close(ours(logits, target), alone)
        assert abs(theirs(logits, target) - torch.stack([theirs(*pair) for pair in pairs]).mean()) > 1e-3


@pytest.mark.parametrize("theirs", [smp.DiceLoss("binary"), monai.DiceLoss(sigmoid=True)])
def test_half_precision_sums_overflow_in_smp_and_monai_and_not_in_ours(theirs):
    """65,536 lit pixels exceed the largest float16, 65,504; ours adds in float32."""
    logits = torch.full((1, 1, 256, 256), 4.0, dtype=torch.float16)
    lit = torch.ones_like(logits)
    assert theirs(logits, lit).isnan()
    close(DiceLoss()(logits, lit), DiceLoss()(logits.float(), lit.float()))


def test_smp_dice_gives_an_empty_target_no_signal_and_ours_pushes_down():
    """SMP multiplies the loss of an empty target by 0, so that light where there is none costs nothing."""
    gradients = []
    for loss in (smp.DiceLoss("binary"), DiceLoss()):
        logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
        loss(logits, torch.zeros(1, 1, 8, 8)).backward()
        gradients.append(logits.grad)
    assert (gradients[0] == 0).all()
    assert (gradients[1] > 0).all()


def test_monai_softmax_focal_is_half_the_formula_and_ours_is_the_formula(two):
    """MONAI averages over the classes where the formula sums, so that gamma = 0 is half the cross-entropy there."""
    logits, target, _ = two
    close(FocalLoss(None)(logits, target), 2 * monai.FocalLoss(use_softmax=True)(logits, target))
    close(FocalLoss(None, 0.0)(logits, target), CELoss()(logits, target))
    close(monai.FocalLoss(use_softmax=True, gamma=0.0)(logits, target), CELoss()(logits, target) / 2)


def test_smp_two_class_focal_is_one_sigmoid_a_class_and_ours_the_softmax(two):
    """What the softmax does not see, a constant on both logits, changes SMP's value."""
    logits, target, classes = two
    theirs = smp.FocalLoss("multiclass")
    assert abs(theirs(logits + 3, classes) - theirs(logits, classes)) > 0.1
    close(FocalLoss()(logits + 3, target), FocalLoss()(logits, target))


def test_focal_of_grey_targets_is_the_printed_formula_in_ours_alone(one):
    """SMP and MONAI mix p and t before the power; the notes' formula weighs the cost of each by itself."""
    logits, grey, _ = one
    p = logits.sigmoid()
    printed = -0.25 * (1 - p) ** 2 * grey * p.log() - 0.75 * p**2 * (1 - grey) * (1 - p).log()
    close(FocalLoss()(logits, grey), printed.mean())
    for theirs in (smp.FocalLoss("binary", alpha=0.25), monai.FocalLoss(alpha=0.25)):
        assert abs(theirs(logits, grey) - printed.mean()) > 1e-3


def test_torchmetrics_ssim_reflects_the_border_and_ours_leaves_it_out(one):
    """A reflected border is no measured one; scikit-image leaves it out too (test_similarity)."""
    logits, grey, _ = one
    theirs = metrics.structural_similarity_index_measure(logits.sigmoid(), grey, data_range=1.0)
    assert abs(1 - theirs - SSIMLoss()(logits, grey)) > 1e-4


def test_torchmetrics_pearson_of_a_constant_is_nan_and_ours_0():
    """The first steps of a network with a constant output would end the training."""
    with pytest.warns(UserWarning, match="variance of predictions or target is close to zero"):
        assert metrics.pearson_corrcoef(torch.full((9,), 0.5), torch.rand(9)).isnan()
    assert NPCCLoss()(torch.zeros(1, 1, 3, 3), torch.rand(1, 1, 3, 3)).item() == pytest.approx(0, abs=1e-6)
