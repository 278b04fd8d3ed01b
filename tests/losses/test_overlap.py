import pytest
import torch

from spt.errors import UserError
from spt.losses import DiceLoss, IoULoss, soft_dice, soft_iou


@pytest.mark.parametrize(("loss", "formula"), [(DiceLoss, soft_dice), (IoULoss, soft_iou)])
def test_settings_reach_the_formula(loss, formula):
    logits, target = torch.randn(2, 2, 4, 5), torch.zeros(2, 2, 4, 5)
    for options in ({"smooth": 0.0}, {"per_image": False}, {"foreground_only": True}, {"activation": "sigmoid"}):
        assert torch.equal(loss(**options)(logits, target), formula(logits, target, **options))


@pytest.mark.parametrize("smooth", [1e-5, 1.0, -1e-7, float("nan")])
def test_a_smoothing_term_that_biases_is_refused(smooth):
    with pytest.raises(UserError, match=rf"smooth must lie in \[0, 1e-6\], got {smooth}"):
        DiceLoss(smooth)
