import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from spt.losses import negative_pearson, soft_dice, soft_iou, structural_dissimilarity

LN3 = math.log(3)  # sigmoid 3/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


# p = 3/4, 3/4, 1/2, 1/4: overlap 5/4, total 17/4, Dice 10/17; union 17/4 - 5/4 = 3.
# d dice/dp = (2 overlap - 2 t total) / total^2: -96/289 where t = 1, 40/289 where t = 0; dp/dx = p (1 - p).
# d iou/dp = (overlap (1 - t) - t union) / union^2: -1/3 where t = 1, 5/36 where t = 0.
@pytest.mark.parametrize(
    ("loss", "value", "lit", "dark"),
    [(soft_dice, 7 / 17, -96 / 289, 40 / 289), (soft_iou, 7 / 12, -1 / 3, 5 / 36)],
)
def test_overlap_value_and_gradient_by_hand(loss, value, lit, dark):
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    result = loss(logits, image(1.0, 0.0, 1.0, 0.0))
    assert result.item() == pytest.approx(value, abs=1e-6)
    result.backward()
    expected = image(lit * 0.1875, dark * 0.1875, lit * 0.25, dark * 0.1875)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=0)


# Softmax p = (3/4, 1/4) and (1/2, 1/2), classes 0 and 1: overlaps 3/4 and 1/2, totals 9/4 and 7/4, unions 3/2 and 5/4.
@pytest.mark.parametrize(("loss", "score"), [(soft_dice, (2 / 3 + 4 / 7) / 2), (soft_iou, (1 / 2 + 2 / 5) / 2)])
def test_overlap_of_two_channels_by_hand(loss, score):
    logits = torch.tensor([[5 + LN3, -2.0], [5.0, -2.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    assert loss(logits, target).item() == pytest.approx(1 - score, abs=1e-6)


def test_grey_target_met_exactly_costs_a_half():
    half = torch.full((1, 1, 4, 4), 0.5)
    assert soft_dice(half.logit(), half).item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("loss", [soft_dice, soft_iou])
def test_empty_on_empty_costs_nothing_and_lit_on_empty_everything(loss):
    dark, lit, empty = torch.full((1, 1, 4, 4), -1e4), torch.full((1, 1, 4, 4), 1e4), torch.zeros(1, 1, 4, 4)
    assert loss(dark, empty).item() == loss(dark, empty, smooth=0.0).item() == 0
    assert loss(lit, empty).item() == pytest.approx(1, abs=1e-6)
    assert loss(dark, empty + 1).item() == pytest.approx(1, abs=1e-6)
    assert loss(lit, empty + 1).item() == pytest.approx(0, abs=1e-6)


def test_an_empty_target_pushes_every_pixel_down():
    logits = torch.full((1, 1, 4, 4), -20.0, requires_grad=True)
    soft_dice(logits, torch.zeros(1, 1, 4, 4)).backward()
    assert (logits.grad > 0).all()


def test_the_smoothing_term_is_used():
    # Empty target, sum p = 1e-6: smooth / (sum p + smooth) of the cost is forgiven.
    logits = torch.full((1, 1, 1, 1), 1e-6, dtype=torch.float64).logit()
    assert soft_dice(logits, torch.zeros_like(logits), 1e-6).item() == pytest.approx(0.5, rel=1e-6)
    assert soft_dice(logits, torch.zeros_like(logits), 0.0).item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("loss", [soft_dice, soft_iou])
def test_per_batch_sums_over_the_images_as_one(loss):
    logits, target = 3 * torch.randn(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    as_one = loss(*(x.transpose(0, 1).reshape(1, 2, 12, 5) for x in (logits, target)))
    torch.testing.assert_close(loss(logits, target, per_image=False), as_one)
    assert not torch.isclose(as_one, loss(logits, target))


@pytest.mark.parametrize("loss", [soft_dice, soft_iou])
def test_foreground_only_is_the_sigmoid_of_the_difference_and_leaves_sigmoids_alone(loss):
    logits, lit = torch.randn(3, 2, 4, 5), torch.rand(3, 1, 4, 5)
    alone = loss(logits[:, :1] - logits[:, 1:], lit)
    torch.testing.assert_close(loss(logits, torch.cat([lit, 1 - lit], 1), foreground_only=True), alone)
    target = torch.rand(3, 2, 4, 5)
    every, foreground = (loss(logits, target, foreground_only=f, activation="sigmoid") for f in (False, True))
    assert torch.equal(every, foreground)


# Correlation ----------------------------------------------------------------------------------------------------------


def test_npcc_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/4, 1/4 and t = 1, 0, 0, 0: r = 1 / sqrt 3.
    logits = image(LN3, LN3, -LN3, -LN3).requires_grad_()
    loss = negative_pearson(logits, image(1.0, 0.0, 0.0, 0.0))
    assert loss.item() == pytest.approx(-1 / math.sqrt(3), abs=1e-6)
    loss.backward()
    # dL/dp = -(t' / (sp st) - r p' / sp^2) / 4 = -2/sqrt 3, 2/sqrt 3, 0, 0; dp/dx = 3/16.
    g = 2 / math.sqrt(3) * 3 / 16
    torch.testing.assert_close(logits.grad, image(-g, g, 0.0, 0.0), atol=1e-6, rtol=0)


def test_npcc_equals_numpy_per_image_and_channel():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(3, 2, 6, 7)), rng.random((3, 2, 6, 7)) * rng.random((3, 2, 1, 1))
    p = 1 / (1 + np.exp(-logits))
    r = [np.corrcoef(p[i, c].ravel(), target[i, c].ravel())[0, 1] for i in range(3) for c in range(2)]
    assert negative_pearson(torch.tensor(logits), torch.tensor(target)).item() == pytest.approx(-np.mean(r), abs=1e-9)


@pytest.mark.parametrize("eps", [1e-12, 1e-6])
def test_npcc_of_a_constant_image_is_0_with_a_finite_gradient(eps):
    chessboard = (torch.arange(256.0) % 2).view(1, 1, 16, 16)
    constants = [torch.full((1, 1, 16, 16), level) for level in (-1e4, -0.3, 0.0, 1e4)]
    targets = [torch.full((1, 1, 16, 16), fill) for fill in (0.0, 0.5, 1.0)]
    pairs = [(x, t) for x in constants for t in [*targets, chessboard]]
    pairs += [(1e4 * (2 * chessboard - 1), t) for t in targets]
    for logits, target in pairs:
        logits = logits.clone().requires_grad_()
        loss = negative_pearson(logits, target, eps)
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert logits.grad.isfinite().all()


# Structural similarity ------------------------------------------------------------------------------------------------


def test_ssim_equals_scikit_image_per_image():
    logits, target = torch.randn(3, 1, 20, 17), torch.rand(3, 1, 20, 17)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    p, t = logits.sigmoid().double().numpy(), target.double().numpy()
    expected = [structural_similarity(p[k, 0], t[k, 0], **options) for k in range(3)]
    assert structural_dissimilarity(logits, target).item() == pytest.approx(1 - sum(expected) / 3, abs=1e-5)


def test_ssim_of_constant_images_by_hand():
    # No variance: (2 mu_p mu_t + c1) / (mu_p^2 + mu_t^2 + c1) remains, p = 1/2 and t = 1.
    value = structural_dissimilarity(torch.zeros(1, 1, 11, 11), torch.ones(1, 1, 11, 11)).item()
    assert value == pytest.approx(1 - (1 + 1e-4) / (1.25 + 1e-4), abs=1e-4)


def test_ssim_of_a_perfect_image_costs_nothing_and_of_a_reversed_one_more_than_one():
    target = (torch.rand(2, 1, 16, 16) > 0.5).float()
    assert structural_dissimilarity(1e4 * (2 * target - 1), target).item() == pytest.approx(0, abs=1e-5)
    assert 1 < structural_dissimilarity(-1e4 * (2 * target - 1), target).item() <= 2
