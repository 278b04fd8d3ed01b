import math

import numpy as np
import pytest
import torch

from spt.losses import NPCCLoss, negative_pearson

LN3 = math.log(3)  # sigmoid 3/4


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def test_value_and_gradient_by_hand():
    # p = 3/4, 3/4, 1/4, 1/4 and t = 1, 0, 0, 0: r = 1 / sqrt 3.
    logits = image(LN3, LN3, -LN3, -LN3).requires_grad_()
    loss = NPCCLoss()(logits, image(1.0, 0.0, 0.0, 0.0))
    assert loss.item() == pytest.approx(-1 / math.sqrt(3), abs=1e-6)
    loss.backward()
    # dL/dp = -(t' / (sp st) - r p' / sp^2) / 4 = -2/sqrt 3, 2/sqrt 3, 0, 0; dp/dx = 3/16.
    g = 2 / math.sqrt(3) * 3 / 16
    torch.testing.assert_close(logits.grad, image(-g, g, 0.0, 0.0), atol=1e-6, rtol=0)


def test_equals_numpy_per_image_and_channel():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(3, 2, 6, 7)), rng.random((3, 2, 6, 7)) * rng.random((3, 2, 1, 1))
    p = 1 / (1 + np.exp(-logits))
    r = [np.corrcoef(p[i, c].ravel(), target[i, c].ravel())[0, 1] for i in range(3) for c in range(2)]
    assert negative_pearson(torch.tensor(logits), torch.tensor(target)).item() == pytest.approx(-np.mean(r), abs=1e-9)


def test_perfect_reversed_and_rescaled():
    target = torch.rand(2, 1, 8, 8).clamp(0.01, 0.99)
    assert negative_pearson(target.logit(), target).item() == pytest.approx(-1, abs=1e-5)
    assert negative_pearson(-target.logit(), target).item() == pytest.approx(1, abs=1e-5)
    assert negative_pearson((0.2 + 0.3 * target).logit(), target).item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("eps", [1e-12, 1e-6])
@pytest.mark.parametrize("level", [-1e4, -0.3, 0.0, 1e4])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_constant_images_correlate_to_nothing(eps, level, fill):
    logits = torch.full((2, 1, 16, 16), level, requires_grad=True)
    loss = NPCCLoss(eps)(logits, torch.full((2, 1, 16, 16), fill))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("constant", ["logits", "target"])
@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
def test_one_constant_image_is_never_nan(constant, level):
    other = (torch.arange(256.0) % 2).view(1, 1, 16, 16)
    logits = torch.full((1, 1, 16, 16), level) if constant == "logits" else 1e4 * (2 * other - 1)
    target = torch.full((1, 1, 16, 16), float(level > 0)) if constant == "target" else other
    logits.requires_grad_()
    loss = negative_pearson(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reduced_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 256, 256, generator=generator).to(dtype).requires_grad_()
    target = (logits.detach() > 0.3).to(dtype)
    loss = negative_pearson(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, negative_pearson(logits.float(), target.float()))
    loss.backward()
    assert logits.grad.isfinite().all()


def test_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: negative_pearson(x, target), (logits,))


@pytest.mark.parametrize("eps", [0.0, -1e-8, 1e-3, 1e-30, float("nan")])
def test_an_eps_that_biases_or_underflows_is_refused(eps):
    # The square of less than 1e-12 comes near the smallest float32, and 0 / 0 is NaN.
    with pytest.raises(ValueError, match=rf"eps must lie in \[1e-12, 1e-6\], got {eps}"):
        NPCCLoss(eps)


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 1, 4, 4), (2, 2, 4, 4)])
def test_shapes_that_differ_are_refused(shape):
    with pytest.raises(ValueError, match=r"logits and target differ in shape: \(2, 1, 4, 4\)"):
        NPCCLoss()(torch.zeros(2, 1, 4, 4), torch.zeros(shape))
