import pytest
import torch

from spt.errors import UserError
from spt.losses import NPCCLoss, SSIMLoss, negative_pearson
from spt.metrics import ssim


def test_eps_reaches_the_formula():
    logits, target = torch.full((1, 1, 4, 4), 1e-3), torch.rand(1, 1, 4, 4)
    logits[..., 0] = -1e-3
    values = [NPCCLoss(eps)(logits, target) for eps in (1e-12, 1e-6)]
    assert torch.equal(values[0], negative_pearson(logits, target, 1e-12))
    assert not torch.equal(*values)


@pytest.mark.parametrize("eps", [0.0, -1e-8, 1e-3, 1e-30, float("nan")])
def test_an_eps_that_biases_or_underflows_is_refused(eps):
    # The square of less than 1e-12 comes near the smallest float32, and 0 / 0 is NaN.
    with pytest.raises(UserError, match=rf"eps must lie in \[1e-12, 1e-6\], got {eps}"):
        NPCCLoss(eps)


def test_ssim_is_one_minus_the_metric_of_the_decoded_image():
    logits, target = torch.randn(3, 1, 20, 17), torch.rand(3, 1, 20, 17)
    expected = 1 - ssim(logits.sigmoid(), target).mean().item()
    assert SSIMLoss()(logits, target).item() == pytest.approx(expected, abs=1e-5)


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"at least 11x11 px, got \(11, 10\)"):
        SSIMLoss()(torch.zeros(1, 1, 11, 10), torch.zeros(1, 1, 11, 10))
