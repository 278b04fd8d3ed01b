"""What holds for every loss: the printed formula, the closed-form gradient, no NaN, half precision, few buffers."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_oracle import kept_buffers, plain
from torch import Tensor

from spt.heads import BinaryHead, GreyLevelsHead, Head, MultiLabelHead, TwoClassHead
from spt.losses import (
    BCELoss,
    CELoss,
    CompoundLoss,
    DiceLoss,
    FocalLoss,
    ImageLoss,
    IoULoss,
    L1Loss,
    MSELoss,
    NPCCLoss,
    SSIMLoss,
    WeightedBCELoss,
)

# dL/dp of each loss, p and t (b, c, h, w) -----------------------------------------------------------------------------


def dice_slope(p: Tensor, t: Tensor) -> Tensor:
    overlap, total = (p * t).sum((2, 3), True), (p + t).sum((2, 3), True)
    return (2 * overlap - 2 * t * total) / total**2 / (p.shape[0] * p.shape[1])


def iou_slope(p: Tensor, t: Tensor) -> Tensor:
    overlap = (p * t).sum((2, 3), True)
    union = (p + t - p * t).sum((2, 3), True)
    return (overlap * (1 - t) - t * union) / union**2 / (p.shape[0] * p.shape[1])


def bce_slope(p: Tensor, t: Tensor, w: float | Tensor = 1.0) -> Tensor:
    return ((1 - t) / (1 - p) - w * t / p) / p.numel()


def weighted_slope(p: Tensor, t: Tensor) -> Tensor:
    return bce_slope(p, t, (1 - t).sum() / t.sum())


def focal_slope(p: Tensor, t: Tensor, a: float = 0.25, g: float = 2.0) -> Tensor:
    q = 1 - p
    lit = a * t * (g * q ** (g - 1) * p.log() - q**g / p)
    dark = (1 - a) * (1 - t) * (g * p ** (g - 1) * q.log() - p**g / q)
    return (lit - dark) / p.numel()


def two_class_focal_slope(p: Tensor, t: Tensor, a: float = 0.25, g: float = 2.0) -> Tensor:
    w = torch.tensor([a, 1 - a], dtype=p.dtype).view(1, 2, 1, 1) * t
    return w * (g * (1 - p) ** (g - 1) * p.log() - (1 - p) ** g / p) / (p.numel() / 2)


def npcc_slope(p: Tensor, t: Tensor) -> Tensor:
    n = p[0, 0].numel()
    p0, t0 = p - p.mean((2, 3), True), t - t.mean((2, 3), True)
    sp, st_ = (x.square().mean((2, 3), True).sqrt() for x in (p0, t0))
    r = (p0 * t0).mean((2, 3), True) / (sp * st_)
    return -(t0 / (sp * st_) - r * p0 / sp**2) / n / (p.shape[0] * p.shape[1])


def ssim_slope(p: Tensor, t: Tensor) -> Tensor:
    """Through the three filtered images that depend on p: of p, p^2 and p t; the adjoint of a filter pads by zeros."""
    at = torch.arange(-5, 6, dtype=p.dtype)
    window = torch.exp(-(at**2) / 4.5)
    window = torch.outer(window, window)[None, None] / window.sum() ** 2

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window)

    def spread(x: Tensor) -> Tensor:
        return F.conv2d(x, window, padding=10)

    c1, c2 = 1e-4, 9e-4
    mp, mt = blur(p), blur(t)
    vp, vt, cov = blur(p * p) - mp**2, blur(t * t) - mt**2, blur(p * t) - mp * mt
    a1, a2, b1, b2 = 2 * mp * mt + c1, 2 * cov + c2, mp**2 + mt**2 + c1, vp + vt + c2
    s = a1 * a2 / (b1 * b2)
    to_variance, to_covariance = -s / b2, 2 * a1 / (b1 * b2)
    to_mean = 2 * mt * a2 / (b1 * b2) - 2 * mp * s / b1 - 2 * mp * to_variance - mt * to_covariance
    return -(spread(to_mean) + 2 * p * spread(to_variance) + t * spread(to_covariance)) / s.numel()


class Case(NamedTuple):
    loss: ImageLoss
    head: Head
    slope: Callable[[Tensor, Tensor], Tensor]


def both(first: Callable, second: Callable) -> Callable:
    return lambda p, t: first(p, t) + second(p, t)


ONE, TWO = BinaryHead(), TwoClassHead()
CASES = {
    "bce": Case(BCELoss(), ONE, bce_slope),
    "weighted_bce": Case(WeightedBCELoss(), ONE, weighted_slope),
    "focal": Case(FocalLoss(), ONE, focal_slope),
    "dice": Case(DiceLoss(), ONE, dice_slope),
    "iou": Case(IoULoss(), ONE, iou_slope),
    "npcc": Case(NPCCLoss(), ONE, npcc_slope),
    "mse": Case(MSELoss(), ONE, lambda p, t: 2 * (p - t) / p.numel()),
    "l1": Case(L1Loss(), ONE, lambda p, t: (p - t).sign() / p.numel()),
    "ssim": Case(SSIMLoss(), ONE, ssim_slope),
    "bce_dice": Case(CompoundLoss([BCELoss(), DiceLoss()], [1, 1]), ONE, both(bce_slope, dice_slope)),
    "bce_iou": Case(CompoundLoss([BCELoss(), IoULoss()], [1, 1]), ONE, both(bce_slope, iou_slope)),
    "npcc_bce": Case(CompoundLoss([NPCCLoss(), BCELoss()], [1, 1]), ONE, both(npcc_slope, bce_slope)),
    "focal_dice": Case(CompoundLoss([FocalLoss(), DiceLoss()], [1, 1]), ONE, both(focal_slope, dice_slope)),
    "two_class ce": Case(CELoss(), TWO, lambda p, t: -t / p / (p.numel() / 2)),
    "two_class focal": Case(FocalLoss(), TWO, two_class_focal_slope),
    "two_class dice": Case(DiceLoss(), TWO, dice_slope),
    "two_class iou": Case(IoULoss(), TWO, iou_slope),
    "two_class ce_dice": Case(
        CompoundLoss([CELoss(), DiceLoss()], [1, 1]), TWO, both(lambda p, t: -t / p / (p.numel() / 2), dice_slope)
    ),
}
every = pytest.mark.parametrize("name", CASES)


def double(head: Head, *shape: int) -> tuple[Tensor, Tensor]:
    """Logits with a gradient, and an encoded grey target, in double precision."""
    logits = torch.randn(shape[0], head.channels, *shape[1:], dtype=torch.float64, requires_grad=True)
    return logits, head.encode(torch.rand(shape[0], 1, *shape[1:], dtype=torch.float64))


@every
def test_value_is_the_printed_formula(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 3, 13, 12)
    torch.testing.assert_close(loss(logits, target), plain(name.split()[-1])(logits, target), rtol=1e-7, atol=1e-9)


@every
def test_gradient_is_the_closed_form(name: str):
    loss, head, slope = CASES[name]
    logits, target = double(head, 3, 13, 12)
    (grad,) = torch.autograd.grad(loss(logits, target), logits)
    with torch.no_grad():
        p = logits.sigmoid() if head is ONE else logits.softmax(1)
        g = slope(p, target)
        expected = g * p * (1 - p) if head is ONE else p * (g - (p * g).sum(1, keepdim=True))
    torch.testing.assert_close(grad, expected, rtol=1e-7, atol=1e-9)


@every
def test_gradient_agrees_with_finite_differences(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 2, 11, 12)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,), fast_mode=True)


@every
@pytest.mark.parametrize("level", [-1e4, -100.0, 0.0, 1e4])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0])
def test_never_nan(name: str, level: float, fill: float):
    loss, head, _ = CASES[name]
    logits = torch.full((2, head.channels, 12, 12), level)
    logits[:, 1:] *= -1
    logits.requires_grad_()
    value = loss(logits, head.encode(torch.full((2, 1, 12, 12), fill)))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_full_foreground_of_full_size_in_every_precision(name: str, dtype: torch.dtype):
    # 65,536 lit pixels: their sums exceed the largest float16, 65,504.
    loss, head, _ = CASES[name]
    logits = torch.full((1, head.channels, 256, 256), 4.0)
    logits[:, 1:] *= -1
    lit = torch.ones(1, 1, 256, 256)
    exact = loss(logits.double(), head.encode(lit).double())
    logits = logits.to(dtype).requires_grad_()
    value = loss(logits, head.encode(lit.to(dtype)))
    assert value.dtype == torch.float32
    # SSIM subtracts squares to get variances: 2e-7 on bright images, against the constant 9e-4.
    assert value.item() == pytest.approx(exact.item(), rel=1e-4, abs=3e-4 if name == "ssim" else 2e-6)
    value.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype):
    loss, head, _ = CASES[name]
    logits, target = (x.detach().float().requires_grad_(x.requires_grad) for x in double(head, 2, 32, 32))
    (plain_grad,) = torch.autograd.grad(loss(logits, target), logits)
    with torch.autocast("cpu", dtype):
        value = loss(logits, target)
    (grad,) = torch.autograd.grad(value, logits)
    assert torch.equal(value, loss(logits, target))
    assert torch.equal(grad, plain_grad)


PER_IMAGE = [name for name in CASES if name != "weighted_bce"]  # its weight is the batch's


@pytest.mark.parametrize("name", PER_IMAGE)
def test_batching_and_order_change_nothing(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 4, 11, 12)
    order = torch.tensor([2, 0, 3, 1])
    value = loss(logits, target)
    torch.testing.assert_close(loss(logits[order], target[order]), value)
    torch.testing.assert_close(
        torch.stack([loss(x[None], t[None]) for x, t in zip(logits, target, strict=True)]).mean(), value
    )


def test_weighted_bce_does_not_depend_on_the_order():
    logits, target = double(ONE, 4, 5, 6)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(WeightedBCELoss()(logits[order], target[order]), WeightedBCELoss()(logits, target))


@every
def test_at_most_four_buffers_of_full_size_are_kept(name: str):
    loss, head, _ = CASES[name]
    logits, target = (x.detach().float().requires_grad_(x.requires_grad) for x in double(head, 2, 64, 64))
    assert 1 <= kept_buffers(lambda: loss(logits, target), logits.numel()) <= 4


@pytest.mark.parametrize("name", ["focal", "ssim", "npcc"])
def test_a_loss_that_brings_its_gradient_refuses_a_second_derivative(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 1, 12, 12)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss(logits, target), logits, create_graph=True)


@every
def test_without_a_graph_the_value_is_the_same(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 2, 12, 12)
    with torch.no_grad():
        value = loss(logits, target)
    assert not value.requires_grad
    assert torch.equal(value, loss(logits, target))


@pytest.mark.parametrize("name", ["dice", "two_class focal", "npcc", "weighted_bce"])
def test_compiles_to_the_same_numbers(name: str):
    loss, head, _ = CASES[name]
    logits, target = double(head, 2, 12, 12)
    (expected,) = torch.autograd.grad(loss(logits, target), logits)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    (grad,) = torch.autograd.grad(compiled(logits, target), logits)
    torch.testing.assert_close(grad, expected)


@every
def test_shapes_that_differ_are_refused(name: str):
    loss, head, _ = CASES[name]
    logits = torch.zeros(2, head.channels, 12, 12)
    for shape in ((2, 12, 12), (1, head.channels, 12, 12), (2, 3, 12, 12)):
        with pytest.raises(ValueError, match=rf"logits and target differ in shape: \(2, {head.channels}, 12, 12\)"):
            loss(logits, torch.zeros(shape))


# Other heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [CELoss(), FocalLoss()])
def test_256_grey_levels_of_256_px_never_hold_a_one_hot_copy(loss: ImageLoss):
    head = GreyLevelsHead()
    target = head.encode(torch.rand(1, 1, 64, 64))
    logits = torch.randn(1, 256, 64, 64, requires_grad=True)
    assert target.numel() * 256 == logits.numel()
    assert kept_buffers(lambda: loss(logits, target), logits.numel()) == 1  # the logarithms of the softmax
    (grad,) = torch.autograd.grad(loss(logits, target), logits)
    torch.testing.assert_close(grad.sum(1), torch.zeros(1, 64, 64), atol=1e-7, rtol=0)


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss, FocalLoss])
def test_multi_label_channels_are_sigmoids_each(loss: type):
    head = MultiLabelHead(3)
    logits, target = torch.randn(2, 3, 8, 9), head.encode(torch.rand(2, 1, 8, 9))
    alone = [loss()(logits[:, k : k + 1], target[:, k : k + 1]) for k in range(3)]
    torch.testing.assert_close(loss(activation=head.activation)(logits, target), torch.stack(alone).mean())


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss, FocalLoss])
def test_an_activation_that_is_none_is_refused(loss: type):
    with pytest.raises(ValueError, match="activation must be one of auto, sigmoid, softmax, got tanh"):
        loss(activation="tanh")


# Bounds ---------------------------------------------------------------------------------------------------------------

some = settings(max_examples=25, deadline=None)
scales, seeds = st.floats(0.01, 100), st.integers(0, 2**31)
shares = st.sampled_from([0.0, 0.1, 0.5, 1.0])


def sample(seed: int, scale: float, share: float, grey: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(2, 1, 12, 12, generator=generator, dtype=torch.float64)
    values = torch.rand(2, 1, 12, 12, generator=generator, dtype=torch.float64)
    return logits, values * share if grey else (values < share).double()


@some
@given(seeds, scales, shares, st.booleans(), st.booleans(), st.sampled_from([0.0, 1e-6]))
def test_overlap_losses_lie_between_0_and_1_and_dice_never_above_iou(seed, scale, share, grey, per_image, smooth):
    logits, target = sample(seed, scale, share, grey)
    for x, t in ((logits, target), (torch.cat([logits, -logits], 1), TWO.encode(target))):
        dice, iou = (kind(smooth, per_image)(x, t).item() for kind in (DiceLoss, IoULoss))
        assert -1e-12 <= dice <= iou + 1e-12
        assert iou <= 1


@some
@given(seeds, scales, shares, st.booleans())
def test_focal_with_gamma_0_and_alpha_half_is_half_the_cross_entropy(seed, scale, share, grey):
    logits, target = sample(seed, scale, share, grey)
    focal = FocalLoss(alpha=0.5, gamma=0.0)
    torch.testing.assert_close(2 * focal(logits, target), BCELoss()(logits, target))
    x, t = torch.cat([logits, -logits], 1), TWO.encode(target)
    torch.testing.assert_close(2 * focal(x, t), CELoss()(x, t))


@some
@given(seeds, st.floats(0.05, 0.5), st.floats(0.0, 0.5))
def test_npcc_sees_neither_contrast_nor_offset_of_the_image(seed, a, b):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 1, 12, 12, generator=generator, dtype=torch.float64).clamp(0.01, 0.98)
    target = torch.rand(2, 1, 12, 12, generator=generator, dtype=torch.float64)
    value = NPCCLoss()((a * image + b).logit(), target)
    torch.testing.assert_close(value, NPCCLoss()(image.logit(), target), rtol=1e-6, atol=1e-8)
    assert abs(value.item()) <= 1


@some
@given(seeds, st.floats(0.0, 5.0))
def test_focal_never_exceeds_the_cross_entropy_and_falls_with_gamma(seed, gamma):
    logits, target = sample(seed, 3.0, 0.5, True)
    values = [FocalLoss(None, g)(logits, target).item() for g in (0.0, gamma, gamma + 1)]
    assert values[0] >= values[1] * (1 - 1e-12) >= values[2] * (1 - 1e-12) >= 0
    assert values[0] == pytest.approx(BCELoss()(logits, target).item())
    assert math.isfinite(values[2])
