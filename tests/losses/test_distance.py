import math

import pytest
import torch

from spt.losses import L1Loss, MSELoss

LN3 = math.log(3)  # sigmoid 3/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


@pytest.mark.parametrize(
    ("loss", "value", "slopes"),
    [
        (MSELoss(), (1 / 16 + 9 / 16 + 0 + 1 / 16) / 4, (-0.5, 1.5, 0.0, 0.5)),  # 2 (p - t)
        (L1Loss(), (1 / 4 + 3 / 4 + 0 + 1 / 4) / 4, (-1.0, 1.0, 0.0, 1.0)),  # sign(p - t)
    ],
)
def test_value_and_gradient_by_hand(loss, value, slopes):
    # p = 3/4, 3/4, 1/2, 1/4; the third target is grey and met exactly.
    logits = image(LN3, LN3, 0.0, -LN3).requires_grad_()
    result = loss(logits, image(1.0, 0.0, 0.5, 0.0))
    assert result.item() == pytest.approx(value, rel=1e-6)
    result.backward()
    # times p (1 - p) = 3/16, 3/16, 1/4, 3/16 over the pixels
    expected = image(*slopes) * image(3 / 16, 3 / 16, 1 / 4, 3 / 16) / 4
    torch.testing.assert_close(logits.grad, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("loss", [MSELoss(), L1Loss()])
def test_bounds(loss):
    lit = torch.ones(2, 1, 4, 4)
    assert loss(1e4 * lit, lit).item() == 0
    assert loss(-1e4 * lit, lit).item() == 1


def test_mse_is_below_l1_because_the_distance_is_below_1():
    logits, target = torch.randn(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    assert MSELoss()(logits, target) < L1Loss()(logits, target)
