import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spt.models.attention import PooledAttention, attend, pool_to_grid, sinusoidal_encoding_2d

CHANNELS, HEADS = 16, 4


def attention(seed: int = 0, **settings) -> PooledAttention:
    """Evaluation mode, with BatchNorm statistics that are not the identity."""
    torch.manual_seed(seed)
    module = PooledAttention(CHANNELS, HEADS, **settings)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.weight, 1, 0.3)
        nn.init.normal_(norm.bias)
    for conv in (m for m in module.modules() if isinstance(m, nn.Conv2d)):
        nn.init.normal_(conv.weight, std=0.5)  # far from uniform attention weights
    return module.eval()


def block_mean(x: torch.Tensor, grid: int) -> torch.Tensor:
    b, c, h, w = x.shape
    return x.reshape(b, c, grid, h // grid, grid, w // grid).mean((3, 5))


def explicit(module: PooledAttention, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v written out, head by head, in float64."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    w_q, w_k, w_v, w_out = (
        m.weight.detach().double()[:, :, 0, 0] for m in module.modules() if isinstance(m, nn.Conv2d)
    )

    def place(m: torch.Tensor) -> torch.Tensor:
        return m + sinusoidal_encoding_2d(*m.shape[1:]) if module.position_encoding else m

    def project(w: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,bchw->bohw", w, m.double())

    with torch.no_grad():
        x, context = norms[0](x), norms[0](x) if context is None else norms[1](context)
        q = project(w_q, place(x)).flatten(2)
        k, v = (block_mean(project(w, m), 8).flatten(2) for w, m in ((w_k, place(context)), (w_v, context)))
        d = q.shape[1] // HEADS
        heads = []
        for n in range(HEADS):
            q_n, k_n, v_n = (t[:, n * d : (n + 1) * d] for t in (q, k, v))
            weights = (q_n.transpose(1, 2) @ k_n / math.sqrt(d)).exp()
            weights = weights / weights.sum(-1, keepdim=True)
            heads.append((weights @ v_n.transpose(1, 2)).transpose(1, 2))
        return project(w_out, torch.cat(heads, 1).view(x.shape[0], -1, *x.shape[-2:])).float()


def test_encoding_of_four_channels_by_hand():
    # One frequency, pi; pixel centres 1/4 and 3/4 along y, 1/2 along x; channels sin y, cos y, sin x, cos x.
    half = math.sqrt(0.5)
    expected = torch.tensor([[half, half], [half, -half], [1, 1], [0, 0]])
    torch.testing.assert_close(sinusoidal_encoding_2d(4, 2, 1)[0, :, :, 0], expected, atol=1e-6, rtol=0)


def test_encoding_spans_pi_to_8_pi():
    code = sinusoidal_encoding_2d(8, 1, 3)[0, 4:6, 0]  # sines along x
    centre = torch.tensor([1, 3, 5]) / 6
    expected = torch.stack([(math.pi * centre).sin(), (8 * math.pi * centre).sin()])
    torch.testing.assert_close(code, expected, atol=1e-5, rtol=0)


def test_encoding_varies_along_one_axis_a_half():
    code = sinusoidal_encoding_2d(16, 5, 7)
    assert code.shape == (1, 16, 5, 7)
    assert torch.equal(code[:, :8], code[:, :8, :, :1].expand(-1, -1, -1, 7))
    assert torch.equal(code[:, 8:], code[:, 8:, :1].expand(-1, -1, 5, -1))


def test_encoding_of_every_place_differs():
    flat = sinusoidal_encoding_2d(16, 8, 8)[0].flatten(1).T
    assert torch.pdist(flat).min() > 0.1


def test_encoding_lives_in_one_frame_for_every_size():
    # The middle one of three pixels has the centre of the coarse pixel.
    coarse, fine = sinusoidal_encoding_2d(16, 4, 6), sinusoidal_encoding_2d(16, 12, 18)
    torch.testing.assert_close(fine[..., 1::3, 1::3], coarse, atol=2e-5, rtol=0)


def test_encoding_refuses_channels_not_divisible_by_four():
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        sinusoidal_encoding_2d(6, 8, 8)


@pytest.mark.parametrize("size", [(8, 8), (5, 8), (3, 2)])
def test_pooling_keeps_a_map_that_fits_the_grid(size):
    x = torch.randn(2, 3, *size)
    assert torch.equal(pool_to_grid(x, 8), x)


def test_pooling_averages_blocks():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert pool_to_grid(x, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_pooling_and_its_gradient_are_those_of_adaptive_average_pooling():
    # 25, 50 and 100: the maps of 200 px images, which the grid does not divide.
    for h, w in ((16, 24), (25, 25), (50, 25), (100, 9), (11, 64), (3, 30)):
        x = torch.randn(2, 3, h, w, dtype=torch.float64, requires_grad=True)
        ours, theirs = pool_to_grid(x, 8), F.adaptive_avg_pool2d(x, (min(8, h), min(8, w)))
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
        weights = torch.randn_like(ours)
        gradients = (torch.autograd.grad(pooled, x, weights)[0] for pooled in (ours, theirs))
        torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)


@pytest.mark.parametrize("position_encoding", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (16, 24)])
def test_self_attention_is_the_softmax_formula(size, position_encoding):
    module = attention(position_encoding=position_encoding)
    x = torch.randn(2, CHANNELS, *size)
    with torch.no_grad():
        torch.testing.assert_close(module(x), explicit(module, x), atol=1e-4, rtol=1e-5)


def test_cross_attention_is_the_softmax_formula():
    module = attention(cross=True)
    x, context = torch.randn(2, CHANNELS, 16, 8), 2 + 3 * torch.randn(2, CHANNELS, 24, 16)
    with torch.no_grad():
        torch.testing.assert_close(module(x, context), explicit(module, x, context), atol=1e-4, rtol=1e-5)


def test_attention_is_permutation_equivariant_only_without_position_encoding():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))

    def shuffle(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2)[:, :, order].view_as(x)

    x = torch.randn(2, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        blind, placed = attention(position_encoding=False), attention(position_encoding=True)
        torch.testing.assert_close(blind(shuffle(x)), shuffle(blind(x)), atol=1e-5, rtol=1e-5)
        assert (placed(shuffle(x)) - shuffle(placed(x))).abs().max() > 0.1


def test_values_carry_no_position():
    # All values of a constant context are equal, so their average is the same wherever the query looks.
    module = attention(cross=True)
    context = torch.randn(1, CHANNELS, 1, 1).expand(-1, -1, 16, 16)
    with torch.no_grad():
        out = module(torch.randn(1, CHANNELS, 8, 8), context)
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), atol=1e-5, rtol=1e-5)


def test_cost_is_linear_in_pixels():
    def flops(side: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
            PooledAttention(CHANNELS, HEADS).eval()(torch.empty(1, CHANNELS, side, side))
        return counter.get_total_flops()

    inner = CHANNELS // 2
    # Per pixel: four projections, then q k^T and weights v over the 64 cells; two FLOPs a MAC.
    assert flops(128) == 2 * 128**2 * (4 * CHANNELS * inner + 2 * 64 * inner)
    assert flops(512) == 16 * flops(128)


def test_heads_must_divide_the_inner_width():
    with pytest.raises(ValueError, match="heads = 3 does not divide the inner width 8"):
        PooledAttention(16, heads=3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_attention_keeps_the_type_of_its_queries_and_is_no_less_exact(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    """Also under autocast, which would bring float32 back to bfloat16: torch's kernel is given 32 bits or more."""
    kernel, seen = F.scaled_dot_product_attention, []

    def watched(*given: torch.Tensor) -> torch.Tensor:
        seen.append((given[0].dtype, kernel(*given).dtype))
        return kernel(*given)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    q, k, v = (torch.randn(2, 3, n, 4, dtype=dtype, requires_grad=True) for n in (9, 5, 5))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = attend(q, k, v)
    out.sum().backward()
    assert out.dtype == q.grad.dtype == dtype
    assert seen == [(torch.float64 if dtype == torch.float64 else torch.float32,) * 2]
    exact = (q.double() @ k.double().mT / 2).softmax(-1) @ v.double()
    torch.testing.assert_close(out.double(), exact, atol=torch.finfo(dtype).eps, rtol=torch.finfo(dtype).eps)
