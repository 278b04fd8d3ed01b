import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spt.models import SACNN
from spt.models.sa_cnn import SelfAttention

WIDTHS = (24, 48, 96, 192, 384, 768)
SINGLE = (5,)
ALL = (2, 3, 4, 5)


def small(**settings) -> SACNN:
    torch.manual_seed(0)
    return SACNN(**{"width": 4, **settings})


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def unit(i: int, o: int, kernel: int) -> int:
    """Convolution without bias, gamma, beta."""
    return i * o * kernel**2 + 2 * o


def attention(c: int) -> int:
    """Query and key to c/8, value to c, each with a bias, and the gate."""
    return 2 * (c * c // 8 + c // 8) + c * c + c + 1


def encoder(level: int, levels: tuple[int, ...]) -> int:
    o = WIDTHS[level]
    first = unit(1 if level == 0 else o // 2, o, 3)
    second = unit(o, o, 3) if level < 5 else 0
    return first + second + (attention(o) if level in levels else 0)


def decoder(level: int, levels: tuple[int, ...]) -> int:
    o = WIDTHS[level]
    return unit(2 * o, o, 1) + unit(2 * o, o, 3) + 2 * unit(o, o, 3) + (attention(o) if level in levels else 0)


@pytest.fixture(scope="module")
def published() -> dict[tuple[int, ...], SACNN]:
    """SA-CNN and SA-CNN-Single, without memory, in evaluation mode."""
    with torch.device("meta"):
        return {levels: SACNN(attention_levels=levels).eval() for levels in (ALL, SINGLE)}


@pytest.mark.parametrize("levels", [ALL, SINGLE])
def test_parameters_of_every_level(published, levels):
    model = published[levels]
    assert [parameters(block) for block in model.encoder] == [encoder(level, levels) for level in range(6)]
    assert [parameters(block) for block in model.decoder] == [decoder(level, levels) for level in (4, 3, 2, 1, 0)]
    assert parameters(model.head) == 24 + 1


@pytest.mark.parametrize(
    ("levels", "count", "printed"), [(ALL, 14_001_512, 13.9231e6), (SINGLE, 13_515_986, 13.5972e6)]
)
def test_parameters(published, levels, count, printed):
    by_hand = sum(encoder(level, levels) for level in range(6)) + sum(decoder(level, levels) for level in range(5)) + 25
    assert parameters(published[levels]) == count == by_hand
    assert count == pytest.approx(printed, rel=0.02)


@pytest.mark.parametrize(
    ("levels", "gmacs", "printed"), [(ALL, 13.92, 17.4204), (SINGLE, 9.50, 8.9002)], ids=["sa_cnn", "single"]
)
def test_macs_at_256_pixels(published, levels, gmacs, printed):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        published[levels](torch.empty(1, 1, 256, 256, device="meta"))
    macs = counter.get_total_flops() / 2
    assert macs == pytest.approx(gmacs * 1e9, rel=1e-3)
    assert printed / 1.5 < macs / 1e9 < printed * 1.5


@pytest.mark.parametrize(("levels", "sides"), [(ALL, [16, 8, 4, 2, 4, 8, 16]), (SINGLE, [2]), ((3,), [8, 8]), ((), [])])
def test_attention_stands_at_the_levels_asked_and_nowhere_else(levels, sides):
    model, seen = small(attention_levels=levels).eval(), []
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.register_forward_hook(lambda _, args, out: seen.append(out.shape[-1]))
    with torch.no_grad():
        model(torch.rand(1, 1, 64, 64))
    assert seen == sides


def test_attention_ends_its_level():
    # What a level hands on, as skip and downwards, has been attended.
    model = small(attention_levels=ALL)
    ends = [isinstance(block[-1], SelfAttention) for block in model.encoder]
    assert ends == [False, False, True, True, True, True]
    assert [isinstance(level.fuse[-1], SelfAttention) for level in model.decoder] == [True, True, True, False, False]


# SelfAttention ------------------------------------------------------------------------------------------------------


def opened(channels: int = 16, gamma: float = 1.0) -> SelfAttention:
    """Self-attention whose gate is open, in double precision."""
    torch.manual_seed(0)
    module = SelfAttention(channels).double()
    nn.init.constant_(module.gamma, gamma)
    return module


def test_the_gate_starts_shut_and_the_block_is_the_identity():
    module, x = SelfAttention(16), torch.randn(2, 16, 5, 7)
    assert module.gamma.tolist() == [0.0]
    assert torch.equal(module(x), x)


def test_the_shut_gate_learns():
    module = SelfAttention(16)
    module(torch.randn(2, 16, 5, 7)).square().sum().backward()
    assert module.gamma.grad.abs().item() > 0


def test_attention_is_an_unscaled_softmax():
    module, x = opened(), torch.randn(2, 16, 3, 5).double()
    tokens = x.flatten(2)

    def project(conv: nn.Conv2d) -> torch.Tensor:
        return conv.weight[:, :, 0, 0] @ tokens + conv.bias[:, None]

    q, k, v = project(module.query), project(module.key), project(module.value)
    scores = (q.transpose(1, 2) @ k).exp()  # (b, to, from)
    shares = scores / scores.sum(2, keepdim=True)
    expected = x + (v @ shares.transpose(1, 2)).view_as(x)
    torch.testing.assert_close(module(x), expected, atol=1e-12, rtol=1e-12)


def test_two_pixels_by_hand():
    # q = k = v = the first channel, here 0 and 1: pixel 0 has scores (0, 0), pixel 1 has (0, 1).
    module, e = opened(8), torch.tensor(1.0).double().exp()
    for conv in (module.query, module.key, module.value):
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
        nn.init.ones_(conv.weight[0, 0])
    x = torch.zeros(1, 8, 1, 2).double()
    x[0, 0, 0, 1] = 1
    torch.testing.assert_close(module(x)[0, 0, 0], torch.stack([0.5 * e / e, 1 + e / (1 + e)]))
    assert module(x)[0, 1:].abs().max() == 0


def test_pixels_are_a_set():
    module, x = opened(), torch.randn(1, 16, 4, 6).double()
    order = torch.randperm(24)

    def shuffled(t: torch.Tensor) -> torch.Tensor:
        return t.flatten(2)[..., order].view_as(t)

    torch.testing.assert_close(module(shuffled(x)), shuffled(module(x)), atol=1e-12, rtol=1e-12)


# Settings and sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(1, 2), (0,), (5, 6), (-1,)])
def test_levels_out_of_range_are_refused(levels):
    with pytest.raises(ValueError, match=r"attention_levels must lie in 2\.\.5, got \["):
        SACNN(attention_levels=levels)


@pytest.mark.parametrize(("levels", "least"), [((2, 3, 4, 5), 2), ((5, 2), 2), ((3,), 1), ((5,), 1), ((), 1)])
def test_the_least_width_gives_the_queries_a_channel(levels, least):
    with pytest.raises(ValueError, match=f"width must be at least {least}, got {least - 1}"):
        SACNN(width=least - 1, attention_levels=levels)
    model = SACNN(width=least, attention_levels=levels)
    assert model(torch.rand(2, 1, 32, 64)).isfinite().all()


def test_channels_in_and_out():
    assert small(in_channels=3, out_channels=2)(torch.rand(2, 3, 32, 64)).shape == (2, 2, 32, 64)


@pytest.mark.parametrize("levels", [ALL, SINGLE])
def test_one_set_of_weights_serves_every_size(levels):
    model = small(attention_levels=levels).eval()
    with torch.no_grad():
        for h, w in [(32, 32), (32, 96), (128, 64), (256, 256)]:
            logits = model(torch.rand(1, 1, h, w))
            assert logits.shape == (1, 1, h, w)
            assert logits.isfinite().all()
            assert logits.std() > 1e-4


@pytest.mark.parametrize(
    ("h", "w", "near"), [(48, 64, "32x64 and 64x64"), (64, 200, "64x192 and 64x224"), (8, 8, "32x32 and 32x32")]
)
def test_a_size_that_is_no_multiple_of_32_is_refused(h, w, near):
    with pytest.raises(ValueError, match=rf"SACNN.*multiples of 32, got {h}x{w}\. Nearest sizes that work: {near}"):
        small()(torch.zeros(1, 1, h, w))


def test_every_skip_is_used():
    # Training mode: the batch's own statistics keep the deep maps from fading, as they would with fresh weights.
    model, x = small().double(), torch.rand(2, 1, 64, 64).double()
    with torch.no_grad():
        expected = model(x)
        for level in model.decoder:
            hook = level.register_forward_pre_hook(lambda _, args: (args[0], torch.zeros_like(args[1])))
            assert (model(x) - expected).abs().max() > 1e-3
            hook.remove()
        assert torch.equal(model(x), expected)
