"""What holds for every loss: the printed formula, its derivatives, no NaN, half precision, refused shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_oracle import printed
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

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

ONE, TWO = BinaryHead(), TwoClassHead()
CASES: dict[str, tuple[ImageLoss, Head]] = {
    "bce": (BCELoss(), ONE),
    "weighted_bce": (WeightedBCELoss(), ONE),
    "focal": (FocalLoss(), ONE),
    "dice": (DiceLoss(), ONE),
    "iou": (IoULoss(), ONE),
    "npcc": (NPCCLoss(), ONE),
    "mse": (MSELoss(), ONE),
    "l1": (L1Loss(), ONE),
    "ssim": (SSIMLoss(), ONE),
    "npcc_bce": (CompoundLoss([NPCCLoss(), BCELoss()], [1.0, 1.0]), ONE),
    "focal_dice": (CompoundLoss([FocalLoss(), DiceLoss()], [1.0, 1.0]), ONE),
    "two_class ce": (CELoss(), TWO),
    "two_class focal": (FocalLoss(), TWO),
    "two_class dice": (DiceLoss(), TWO),
    "two_class iou": (IoULoss(), TWO),
}
every = pytest.mark.parametrize("name", CASES)


def double(head: Head, *shape: int) -> tuple[Tensor, Tensor]:
    """Logits and an encoded grey target, in double precision, both with a gradient."""
    logits = torch.randn(shape[0], head.channels, *shape[1:], dtype=torch.float64, requires_grad=True)
    target = head.encode(0.02 + 0.96 * torch.rand(shape[0], 1, *shape[1:], dtype=torch.float64))
    return logits, target.requires_grad_()


@every
def test_value_and_both_gradients_are_those_of_the_printed_formula(name: str):
    loss, head = CASES[name]
    inputs = double(head, 3, 13, 12)
    ours, theirs = loss(*inputs), printed(name.split()[-1])(*inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    for mine, plain in zip(grad(ours, inputs), grad(theirs, inputs), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-7, atol=1e-9)


@every
def test_first_and_second_derivatives_agree_with_finite_differences(name: str):
    loss, head = CASES[name]
    inputs = double(head, 2, 11, 12) if name == "ssim" else double(head, 2, 4, 3)
    assert gradcheck(loss, inputs, fast_mode=True)
    assert gradgradcheck(loss, inputs, fast_mode=True)


@every
def test_never_nan(name: str):
    loss, head = CASES[name]
    for level in (-1e4, -100.0, 0.0, 1e4):
        for fill in (0.0, 0.5, 1.0):
            logits = torch.full((2, head.channels, 12, 12), level)
            logits[:, 1:] *= -1
            logits.requires_grad_()
            value = loss(logits, head.encode(torch.full((2, 1, 12, 12), fill)))
            value.backward()
            assert value.isfinite(), (level, fill)
            assert logits.grad.isfinite().all(), (level, fill)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_full_foreground_of_full_size_in_every_precision(name: str, dtype: torch.dtype):
    # 65,536 lit pixels: their sums exceed the largest float16, 65,504.
    loss, head = CASES[name]
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
def test_autocast_changes_nothing_and_a_graph_neither(name: str):
    loss, head = CASES[name]
    logits, target = (x.detach().float() for x in double(head, 2, 32, 32))
    logits.requires_grad_()
    plain = loss(logits, target)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target)
    assert torch.equal(value, plain)
    assert torch.equal(*(grad(v, logits)[0] for v in (value, plain)))
    with torch.no_grad():
        assert torch.equal(loss(logits, target), plain)


PER_IMAGE = [name for name in CASES if name != "weighted_bce"]  # its weight is the batch's


@pytest.mark.parametrize("name", PER_IMAGE)
def test_value_is_the_mean_of_the_images_alone(name: str):
    loss, head = CASES[name]
    logits, target = double(head, 3, 12, 13)
    alone = [loss(logits[i : i + 1], target[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(loss(logits, target), torch.stack(alone).mean())


@pytest.mark.usefixtures("own_checks")
def test_a_compiled_loss_is_one_graph_with_the_same_numbers():
    torch._dynamo.reset()
    parts = [CASES[name][0] for name in ("focal", "dice", "npcc", "ssim", "weighted_bce")]
    loss = CompoundLoss(parts, [1.0] * len(parts))
    logits, target = double(ONE, 2, 12, 12)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    (expected,) = grad(loss(logits, target), logits)
    torch.testing.assert_close(grad(compiled(logits, target.detach()), logits)[0], expected)


@every
@pytest.mark.usefixtures("own_checks")
def test_shapes_that_differ_are_refused(name: str):
    loss, head = CASES[name]
    logits = torch.zeros(2, head.channels, 12, 12)
    for shape in ((2, 12, 12), (1, head.channels, 12, 12), (2, 3, 12, 12)):
        with pytest.raises(ValueError, match=rf"logits and target differ in shape: \(2, {head.channels}, 12, 12\)"):
            loss(logits, torch.zeros(shape))


# Other heads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [CELoss(), FocalLoss()])
def test_256_grey_levels_never_hold_a_one_hot_copy(loss: ImageLoss):
    head, kept = GreyLevelsHead(), set()
    target = head.encode(torch.rand(1, 1, 16, 16))
    logits = torch.randn(1, 256, 16, 16, requires_grad=True)

    def keep(x: Tensor) -> Tensor:
        if x.numel() >= logits.numel():
            kept.add(x.untyped_storage().data_ptr())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        value = loss(logits, target)
    assert len(kept) == 1  # the logarithms of the softmax
    torch.testing.assert_close(grad(value, logits)[0].sum(1), torch.zeros(1, 16, 16), atol=1e-7, rtol=0)


@pytest.mark.parametrize("loss", [DiceLoss, IoULoss, FocalLoss])
def test_multi_label_channels_are_sigmoids_each(loss: type):
    head = MultiLabelHead(3)
    logits, target = torch.randn(2, 3, 8, 9), head.encode(torch.rand(2, 1, 8, 9))
    alone = [loss()(logits[:, k : k + 1], target[:, k : k + 1]) for k in range(3)]
    torch.testing.assert_close(loss(activation=head.activation)(logits, target), torch.stack(alone).mean())


# Devices --------------------------------------------------------------------------------------------------------------


class Operations(TorchDispatchMode):
    """Remembers the name of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_no_loss_calls_an_operation_that_deterministic_algorithms_refuse_on_cuda():
    # Of what torch.use_deterministic_algorithms lists, a loss could reach these.
    logits, classes = torch.randn(2, 5, 12, 12), torch.randint(5, (2, 12, 12))
    with Operations() as seen:
        for loss, head in CASES.values():
            loss(*(x.detach() for x in double(head, 2, 12, 12)))
        CELoss()(logits, classes)
        FocalLoss()(logits, classes)
    refused = ("nll_loss", "histc", "bincount", "median", "put_", "reflection_pad", "avg_pool")
    assert not [name for name in seen.names if any(part in name for part in refused)]


@pytest.mark.gpu
@every
def test_deterministic_algorithms_allow_every_loss_on_cuda(name: str):
    loss, head = CASES[name]
    logits, target = (x.detach().float().cuda() for x in double(head, 2, 12, 12))
    torch.use_deterministic_algorithms(True)
    try:
        loss(logits.requires_grad_(), target).backward()
        if head is TWO and name in ("two_class ce", "two_class focal"):
            loss(logits, target.argmax(1)).backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert logits.grad.isfinite().all()


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
@given(seeds, st.floats(0.05, 0.5), st.floats(0.0, 0.5))
def test_npcc_sees_neither_contrast_nor_offset_of_the_image(seed, a, b):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 1, 12, 12, generator=generator, dtype=torch.float64).clamp(0.01, 0.98)
    target = torch.rand(2, 1, 12, 12, generator=generator, dtype=torch.float64)
    value = NPCCLoss()((a * image + b).logit(), target)
    torch.testing.assert_close(value, NPCCLoss()(image.logit(), target), rtol=1e-6, atol=1e-8)
    assert abs(value.item()) <= 1


@some
@given(seeds, scales, shares, st.floats(0.0, 5.0))
def test_focal_starts_at_the_cross_entropy_and_falls_with_gamma(seed, scale, share, gamma):
    logits, target = sample(seed, scale, share, True)
    values = [FocalLoss(None, g)(logits, target).item() for g in (0.0, gamma, gamma + 1)]
    assert values[0] == pytest.approx(BCELoss()(logits, target).item())
    assert values[0] >= values[1] * (1 - 1e-12) >= values[2] * (1 - 1e-12) >= 0
    x, t = torch.cat([logits, -logits], 1), TWO.encode(target)
    torch.testing.assert_close(2 * FocalLoss(0.5, 0.0)(x, t), CELoss()(x, t))
