import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spt.models.sampling import SAMPLING, LeakyUp, PlainDown, PlainUp, PuffedDown, Residual, bottleneck, pre_bn_conv


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def unit(i: int, o: int, kernel: int) -> int:
    """Parameters of a pre-BN unit: gamma, beta, kernel, no bias."""
    return 2 * i + i * o * kernel**2


@pytest.mark.parametrize("kernel", [1, 3])
def test_pre_bn_conv_is_norm_then_relu_then_conv(kernel):
    torch.manual_seed(0)
    module = pre_bn_conv(3, 5, kernel).eval()
    norm = next(m for m in module.modules() if isinstance(m, nn.BatchNorm2d))
    weight = next(m for m in module.modules() if isinstance(m, nn.Conv2d)).weight
    nn.init.normal_(norm.running_mean)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 7, 10)
    normed = (x - norm.running_mean[:, None, None]) / (1 + norm.eps) ** 0.5 + norm.bias[:, None, None]
    with torch.no_grad():
        expected = F.conv2d(normed.clamp(min=0), weight, padding=kernel // 2)
        torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-5)
    assert parameters(module) == unit(3, 5, kernel)


def test_pre_bn_conv_leaves_its_input_alone():
    x = torch.randn(2, 3, 4, 4)
    before = x.clone()
    pre_bn_conv(3, 3, 3)(x)
    assert torch.equal(x, before)


def test_residual_adds_the_body():
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(Residual(nn.ReLU())(x), x + x.clamp(min=0))


def test_bottleneck_counts_and_is_residual_where_the_channels_allow():
    same, other = bottleneck(32, 32, 4), bottleneck(16, 32, 4)
    assert parameters(same) == unit(32, 8, 1) + unit(8, 8, 3) + unit(8, 32, 1)
    assert parameters(other) == unit(16, 8, 1) + unit(8, 8, 3) + unit(8, 32, 1)
    for module in (same, other):
        nn.init.zeros_([m for m in module.modules() if isinstance(m, nn.Conv2d)][-1].weight)
    x = torch.randn(2, 32, 6, 6)
    assert torch.equal(same(x), x)
    assert torch.equal(other(x[:, :16]), torch.zeros(2, 32, 6, 6))


@pytest.mark.parametrize(
    ("use_bottleneck", "count"),
    [
        (False, unit(16, 32, 3) + unit(32, 32, 3)),
        (True, unit(16, 32, 1) + unit(32, 8, 1) + unit(8, 8, 3) + unit(8, 32, 1)),
    ],
)
def test_puffed_down_halves_by_maximum_and_doubles_the_channels(use_bottleneck, count):
    torch.manual_seed(0)
    module = PuffedDown(16, 32, use_bottleneck).eval()
    assert parameters(module) == count
    x = torch.randn(2, 16, 12, 8)
    # Only the largest pixel of each 2x2 block counts: fill every block with it.
    blocks = x.view(2, 16, 6, 2, 4, 2).amax((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        out = module(x)
        torch.testing.assert_close(module(blocks), out)
        assert (module(x.flip(-1)) - out.flip(-1)).abs().max() > 1e-3 or use_bottleneck  # 3x3 sees neighbours
    assert out.shape == (2, 32, 6, 4)


BOTTLENECK_FROM_32 = unit(32, 2, 1) + unit(2, 2, 3) + unit(2, 16, 1)
BOTTLENECK_FROM_16 = unit(16, 2, 1) + unit(2, 2, 3) + unit(2, 16, 1)


@pytest.mark.parametrize(
    ("use_bottleneck", "count"),
    [
        (False, unit(32, 16, 1) + unit(32, 16, 1)),
        (True, unit(32, 16, 1) + BOTTLENECK_FROM_32 + BOTTLENECK_FROM_16),
    ],
)
def test_leaky_up_counts_and_fits_the_skip(use_bottleneck, count):
    module = LeakyUp(16, use_bottleneck)
    assert parameters(module) == count
    assert module(torch.randn(2, 32, 3, 5), torch.randn(2, 16, 6, 10)).shape == (2, 16, 6, 10)


def test_leaky_up_doubles_bilinearly_and_concatenates_the_skip():
    module = LeakyUp(2, use_bottleneck=False).eval()
    narrow = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    low, fused = [], []
    narrow.register_forward_hook(lambda _, args, out: low.append(out))
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.register_forward_pre_hook(lambda _, args: fused.append(args[0]))
    skip = torch.randn(1, 2, 4, 4)
    with torch.no_grad():
        module(torch.randn(1, 4, 2, 2), skip)
    # Two samples to four, sample points between pixel centres: weights 1, 3/4, 1/4, 0.
    up = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    torch.testing.assert_close(fused[-1][:, :2], up @ low[0] @ up.T)
    assert torch.equal(fused[-1][:, 2:], skip)


# The ablation: plain convolutions -------------------------------------------------------------------------------------


def test_plain_down_is_one_strided_convolution():
    torch.manual_seed(0)
    module = PlainDown(3, 6).eval()
    assert parameters(module) == unit(3, 6, 3)
    x = torch.randn(2, 3, 8, 12)
    with torch.no_grad():
        # Every second output of the convolution that keeps the size.
        full = F.conv2d((x / (1 + module.norm.eps) ** 0.5).clamp(min=0), module.conv.weight, padding=1)
        torch.testing.assert_close(module(x), full[..., ::2, ::2], atol=1e-5, rtol=1e-5)
        assert module(x).shape == (2, 6, 4, 6)


def test_plain_down_by_hand():
    # All weights 1: sums over 3x3 around the pixels 0 and 2, negative ones cut off, zeros outside.
    module = PlainDown(1, 1).eval()
    nn.init.ones_(module.conv.weight)
    module.norm.eps = 0
    x = torch.tensor([[1.0, 2, -3, 4], [5, 6, 7, 8], [-9, 10, 11, 12], [13, 14, 15, 16]])[None, None]
    expected = [[1 + 2 + 5 + 6, 2 + 4 + 6 + 7 + 8], [5 + 6 + 10 + 13 + 14, 6 + 7 + 8 + 10 + 11 + 12 + 14 + 15 + 16]]
    assert module(x)[0, 0].tolist() == expected


def test_plain_up_spreads_every_pixel_over_its_own_2x2():
    torch.manual_seed(0)
    module = PlainUp(2).eval()
    assert parameters(module) == 2 * 4 + 4 * 2 * 2**2 + unit(4, 2, 1)
    fused = []
    module.fuse.register_forward_pre_hook(lambda _, args: fused.append(args[0]))
    x, skip = torch.randn(1, 4, 2, 3), torch.randn(1, 2, 4, 6)
    with torch.no_grad():
        out = module(x, skip)
        active = (x / (1 + module.norm.eps) ** 0.5).clamp(min=0)
        blocks = torch.einsum("bihw,ioyx->bohywx", active, module.conv.weight)
    assert out.shape == (1, 2, 4, 6)
    torch.testing.assert_close(fused[0][:, :2], blocks.reshape(1, 2, 4, 6))
    assert torch.equal(fused[0][:, 2:], skip)


@pytest.mark.parametrize("name", SAMPLING)
def test_every_sampling_halves_and_doubles_and_leaves_its_inputs_alone(name):
    down, up = SAMPLING[name]
    x, low = torch.randn(2, 16, 4, 6), torch.randn(2, 32, 2, 3)
    before = x.clone(), low.clone()
    assert down(16, 32)(x).shape == (2, 32, 2, 3)
    assert up(16)(low, x).shape == (2, 16, 4, 6)
    assert torch.equal(x, before[0])
    assert torch.equal(low, before[1])
