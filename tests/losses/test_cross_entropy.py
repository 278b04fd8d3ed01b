import math

import pytest
import torch

from spt.losses import BCELoss, binary_cross_entropy

LN3 = math.log(3)  # sigmoid 3/4
EXTREMES = [-1e4, 0.0, 1e4]


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def test_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/2, 1/4; the last two targets are grey and met exactly: their cost is the entropy.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    target = image(1.0, 0.0, 0.5, 0.25)
    a, b = math.log(4 / 3), math.log(4)
    loss = BCELoss()(logits, target)
    assert loss.item() == pytest.approx((a + b + math.log(2) + 0.25 * b + 0.75 * a) / 4, rel=1e-6)
    assert loss.item() == pytest.approx(0.7323647, abs=1e-6)
    loss.backward()
    # (p - t) / pixels
    torch.testing.assert_close(logits.grad, image(-0.0625, 0.1875, 0.0, 0.0), atol=1e-7, rtol=0)


def test_value_is_the_mean_of_the_images_alone():
    logits, target = torch.randn(3, 1, 4, 5), torch.rand(3, 1, 4, 5)
    alone = [binary_cross_entropy(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(binary_cross_entropy(logits, target), torch.stack(alone).mean())


def test_saturated_logits_cost_their_size():
    assert binary_cross_entropy(torch.full((1, 1, 2, 2), 1e4), torch.zeros(1, 1, 2, 2)).item() == 1e4
    assert binary_cross_entropy(torch.full((1, 1, 2, 2), 1e4), torch.ones(1, 1, 2, 2)).item() == 0


@pytest.mark.parametrize("level", EXTREMES)
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_never_nan(level, fill):
    logits = torch.full((2, 1, 4, 4), level, requires_grad=True)
    loss = BCELoss()(logits, torch.full((2, 1, 4, 4), fill))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    logits = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)).to(dtype)
    target = (logits > 0.3).to(dtype)
    loss = binary_cross_entropy(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, binary_cross_entropy(logits.float(), target.float()))


def test_missing_channel_axis_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 1, 4, 4\) and \(2, 4, 4\)\. Add the channel axis"):
        BCELoss()(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4))


def test_broadcastable_shapes_are_refused():
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 1, 4, 4\) and \(1, 1, 4, 4\)\.$"):
        binary_cross_entropy(torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 4, 4))
