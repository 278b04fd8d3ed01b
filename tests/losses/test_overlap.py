import math

import pytest
import torch

from spt.losses import DiceLoss, IoULoss, soft_dice, soft_iou

LN3 = math.log(3)  # sigmoid 3/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def test_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4: overlap 5/4, total 17/4, Dice 10/17.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = image(1.0, 0.0, 1.0, 0.0)
    loss = DiceLoss()(logits, target)
    assert loss.item() == pytest.approx(7 / 17, abs=1e-6)
    loss.backward()
    # dL/dp = (2 overlap - 2 t total) / total^2 = -96/289 where t = 1, 40/289 where t = 0; dp/dx = p (1 - p).
    expected = image(-96 / 289 * 0.1875, 40 / 289 * 0.1875, -96 / 289 * 0.25, 40 / 289 * 0.1875)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=0)


def test_two_channels_by_hand():
    # Softmax p = (3/4, 1/4) and (1/2, 1/2), classes 0 and 1: Dice (3/2) / (9/4) and 1 / (7/4).
    logits = torch.tensor([[5 + LN3, -2.0], [5.0, -2.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    assert soft_dice(logits, target).item() == pytest.approx(1 - (2 / 3 + 4 / 7) / 2, abs=1e-6)


def test_grey_target_met_exactly_costs_a_half():
    half = torch.full((1, 1, 4, 4), 0.5)
    assert soft_dice(half.logit(), half).item() == pytest.approx(0.5, abs=1e-6)


def test_empty_on_empty_costs_nothing_and_lit_on_empty_everything():
    empty = torch.zeros(1, 1, 4, 4)
    assert soft_dice(torch.full_like(empty, -1e4), empty).item() == 0
    assert soft_dice(torch.full_like(empty, 1e4), empty).item() == pytest.approx(1, abs=1e-6)
    assert soft_dice(torch.full_like(empty, -1e4), empty + 1).item() == pytest.approx(1, abs=1e-6)
    assert soft_dice(torch.full_like(empty, 1e4), empty + 1).item() == pytest.approx(0, abs=1e-6)


def test_empty_target_pushes_every_pixel_down():
    logits = torch.full((1, 1, 4, 4), -20.0, requires_grad=True)
    soft_dice(logits, torch.zeros(1, 1, 4, 4)).backward()
    assert (logits.grad > 0).all()


def test_value_is_the_mean_of_the_images_alone():
    torch.manual_seed(0)
    logits, target = (
        3 * torch.randn(3, 2, 4, 5),
        torch.rand(3, 2, 4, 5) * torch.tensor([0.1, 0.5, 1]).view(3, 1, 1, 1),
    )
    alone = [soft_dice(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(soft_dice(logits, target), torch.stack(alone).mean())


@pytest.mark.parametrize("smooth", [0.0, 1e-6])
@pytest.mark.parametrize("level", [-1e4, -100.0, 0.0, 1e4])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_never_nan(smooth, level, fill, channels):
    logits = torch.full((2, channels, 4, 4), level)
    logits[:, 1:] *= -1
    logits.requires_grad_()
    loss = DiceLoss(smooth)(logits, torch.full((2, channels, 4, 4), fill))
    loss.backward()
    assert 0 <= loss.item() <= 1
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    # 65,536 lit pixels: the sums exceed the largest float16, 65,504.
    logits = torch.full((1, 1, 256, 256), 8.0, dtype=dtype, requires_grad=True)
    target = torch.ones(1, 1, 256, 256, dtype=dtype)
    loss = soft_dice(logits, target)
    p = 1 / (1 + math.exp(-8))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1 - 2 * p / (p + 1), rel=1e-2)
    loss.backward()
    assert logits.grad.isfinite().all()


def test_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: soft_dice(x, target), (logits,))


@pytest.mark.parametrize("smooth", [1e-5, 1.0, -1e-7, float("nan")])
def test_a_smoothing_term_that_biases_is_refused(smooth):
    with pytest.raises(ValueError, match=rf"smooth must lie in \[0, 1e-6\], got {smooth}"):
        DiceLoss(smooth)


def test_the_smoothing_term_is_used():
    # Empty target, sum p = 1e-6: smooth / (sum p + smooth) of the cost is forgiven.
    logits = torch.full((1, 1, 1, 1), 1e-6, dtype=torch.float64).logit()
    assert DiceLoss(1e-6)(logits, torch.zeros_like(logits)).item() == pytest.approx(0.5, rel=1e-6)
    assert DiceLoss(0.0)(logits, torch.zeros_like(logits)).item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 1, 4, 4), (2, 2, 4, 4)])
def test_shapes_that_differ_are_refused(shape):
    with pytest.raises(ValueError, match=r"logits and target differ in shape: \(2, 1, 4, 4\)"):
        DiceLoss()(torch.zeros(2, 1, 4, 4), torch.zeros(shape))


# Intersection over union ----------------------------------------------------------------------------------------------


def test_iou_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4: overlap 5/4, union 17/4 - 5/4 = 3.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    loss = IoULoss()(logits, image(1.0, 0.0, 1.0, 0.0))
    assert loss.item() == pytest.approx(7 / 12, abs=1e-6)
    loss.backward()
    # dL/dp = (overlap (1 - t) - t union) / union^2 = -1/3 where t = 1, 5/36 where t = 0; dp/dx = p (1 - p).
    expected = image(-0.1875 / 3, 0.1875 * 5 / 36, -0.25 / 3, 0.1875 * 5 / 36)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=0)


def test_iou_of_two_channels_by_hand():
    # The Dice sums above: overlaps 3/4 and 1/2, unions 3/2 and 5/4.
    logits = torch.tensor([[5 + LN3, -2.0], [5.0, -2.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    assert soft_iou(logits, target).item() == pytest.approx(1 - (1 / 2 + 2 / 5) / 2, abs=1e-6)


def test_iou_of_empty_on_empty_costs_nothing_and_lit_on_empty_everything():
    empty = torch.zeros(1, 1, 4, 4)
    assert soft_iou(torch.full_like(empty, -1e4), empty).item() == 0
    assert soft_iou(torch.full_like(empty, 1e4), empty).item() == pytest.approx(1, abs=1e-6)


# Options of both ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss])
def test_per_batch_sums_over_the_images_as_one(loss):
    logits, target = 3 * torch.randn(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    as_one = loss()(*(x.transpose(0, 1).reshape(1, 2, 12, 5) for x in (logits, target)))
    torch.testing.assert_close(loss(per_image=False)(logits, target), as_one)
    assert not torch.isclose(as_one, loss()(logits, target))


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss])
def test_foreground_only_is_the_sigmoid_of_the_difference(loss):
    logits, lit = torch.randn(3, 2, 4, 5), torch.rand(3, 1, 4, 5)
    alone = loss()(logits[:, :1] - logits[:, 1:], lit)
    torch.testing.assert_close(loss(foreground_only=True)(logits, torch.cat([lit, 1 - lit], 1)), alone)


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss])
def test_sigmoid_channels_are_foregrounds_all(loss):
    logits, target = torch.randn(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    every, foreground = (loss(foreground_only=f, activation="sigmoid")(logits, target) for f in (False, True))
    assert torch.equal(every, foreground)


def test_a_softmax_of_one_channel_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"two or more channels, got 1\. Choose head=two_class"):
        DiceLoss(activation="softmax")(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
