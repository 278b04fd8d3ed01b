import pytest
import torch
from skimage.metrics import structural_similarity

from spt.losses import SSIMLoss
from spt.metrics.image import ssim


def test_equals_scikit_image_per_image():
    logits, target = torch.randn(3, 1, 20, 17), torch.rand(3, 1, 20, 17)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    p, t = logits.sigmoid().double().numpy(), target.double().numpy()
    expected = [structural_similarity(p[k, 0], t[k, 0], **options) for k in range(3)]
    assert SSIMLoss()(logits, target).item() == pytest.approx(1 - sum(expected) / 3, abs=1e-5)


def test_is_one_minus_the_metric_of_the_decoded_image():
    logits, target = torch.randn(3, 1, 20, 17), torch.rand(3, 1, 20, 17)
    assert SSIMLoss()(logits, target).item() == pytest.approx(
        1 - ssim(logits.sigmoid(), target).mean().item(), abs=1e-5
    )


def test_constant_images_by_hand():
    # No variance: (2 mu_p mu_t + c1) / (mu_p^2 + mu_t^2 + c1) remains, p = 1/2 and t = 1.
    value = SSIMLoss()(torch.zeros(1, 1, 11, 11), torch.ones(1, 1, 11, 11)).item()
    assert value == pytest.approx(1 - (1 + 1e-4) / (1.25 + 1e-4), abs=1e-4)


def test_perfect_costs_nothing_and_reversed_more_than_one():
    target = (torch.rand(2, 1, 16, 16) > 0.5).float()
    assert SSIMLoss()(1e4 * (2 * target - 1), target).item() == pytest.approx(0, abs=1e-5)
    assert 1 < SSIMLoss()(-1e4 * (2 * target - 1), target).item() <= 2


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"at least 11x11 px, got \(11, 10\)"):
        SSIMLoss()(torch.zeros(1, 1, 11, 10), torch.zeros(1, 1, 11, 10))


def test_descending_the_gradient_raises_the_similarity():
    logits, target = torch.zeros(1, 1, 16, 16, requires_grad=True), torch.rand(1, 1, 16, 16)
    optimizer = torch.optim.Adam([logits], 0.1)
    before = SSIMLoss()(logits, target).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = SSIMLoss()(logits, target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 < before
