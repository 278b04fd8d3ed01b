import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spt.models import SpTUNet
from spt.models.spt_unet import DecoderBlock


def small(**settings) -> SpTUNet:
    torch.manual_seed(0)
    return SpTUNet(**{"width": 8, **settings})


def speckle(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def conv_macs(model: nn.Module, side: int) -> int:
    """MACs of the convolutions for one image, counted by hooks."""
    counts = []

    def count(conv: nn.Conv2d, _, out: torch.Tensor) -> None:
        counts.append(out.numel() * conv.weight[0].numel())

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        model(torch.empty(1, 1, side, side, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(counts)


@pytest.fixture(scope="module")
def published() -> dict[bool, SpTUNet]:
    """The default SpT UNet and -B, without memory, in evaluation mode."""
    with torch.device("meta"):
        return {b: SpTUNet(sampling="bottleneck" if b else "puffed").eval() for b in (False, True)}


@pytest.mark.parametrize(("b", "count", "printed"), [(False, 6_616_577, 6.6184e6), (True, 2_417_473, 2.4179e6)])
def test_parameters(published, b, count, printed):
    assert parameters(published[b]) == count == pytest.approx(printed, rel=1e-3)


@pytest.mark.parametrize("side", [200, 224, 256])
@pytest.mark.parametrize(("b", "per_pixel", "printed"), [(False, 483_968, 484_005), (True, 323_840, 323_972)])
def test_convolution_macs_per_pixel(published, b, per_pixel, printed, side):
    assert conv_macs(published[b], side) == per_pixel * side**2
    assert per_pixel == pytest.approx(printed, rel=1e-3)


@pytest.mark.parametrize(("b", "per_pixel"), [(False, 491_648), (True, 331_520)])
def test_macs_with_attention_products(published, b, per_pixel):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        published[b](torch.empty(1, 1, 256, 256, device="meta"))
    assert counter.get_total_flops() == 2 * per_pixel * 256**2


def test_only_the_last_convolution_has_a_bias(published):
    convs = [m for m in published[False].modules() if isinstance(m, nn.Conv2d)]
    assert [c.bias is not None for c in convs] == [False] * (len(convs) - 1) + [True]


def test_plain_sampling_exchanges_exactly_the_pipelines():
    # With i to o = 2 i channels. Down: two 3x3 convolutions and their BatchNorms become one. Up, to o channels: the 1x1
    # convolution from 2 o becomes a transposed 2x2 one.
    with torch.device("meta"):
        plain = SpTUNet(sampling="plain")
    down = sum(9 * o * o + 2 * o for o in (128, 256, 512))
    up = sum((4 - 1) * 2 * o * o for o in (256, 128, 64))
    assert parameters(plain) == 6_616_577 - down + up


@pytest.mark.parametrize("sampling", ["", "Puffed", "strided"])
def test_an_unknown_sampling_is_refused(sampling):
    with pytest.raises(ValueError, match=f"sampling must be one of puffed, bottleneck, plain, got '{sampling}'"):
        SpTUNet(sampling=sampling)


def test_cross_attention_off_removes_exactly_the_cross_attentions():
    # At c = 256 and c = 128: two BatchNorms (4 c) and q, k, v, out between c and c/2 (2 c^2).
    with torch.device("meta"):
        without = SpTUNet(cross_attention=False)
    assert 6_616_577 - parameters(without) == sum(4 * c + 2 * c * c for c in (256, 128))


def test_cross_attention_changes_the_output():
    model, without = small().eval(), small(cross_attention=False).eval()
    shared = without.load_state_dict(model.state_dict(), strict=False)
    assert not shared.missing_keys
    x = speckle(1, 1, 64, 64)
    with torch.no_grad():
        assert (model(x) - without(x)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["decoder3", "decoder2"])
@pytest.mark.parametrize("cross_attention", [True, False])
def test_cross_attention_and_nothing_else_in_a_decoder_block_reads_the_skip(name, cross_attention):
    model, x = small(cross_attention=cross_attention).eval().double(), speckle(1, 1, 64, 64).double()
    with torch.no_grad():
        expected = model(x)
        getattr(model, name).register_forward_pre_hook(lambda _, args: (args[0], torch.zeros_like(args[1])))
        assert ((model(x) - expected).abs().max() > 1e-6) == cross_attention


def test_every_decoder_part_gets_the_encoders_map_of_its_size():
    model, given, made = small().eval(), {}, {}
    for name, part in model.named_children():
        if name.startswith(("up", "decoder")):
            part.register_forward_pre_hook(lambda _, args, name=name: given.update({name: args[1]}))
        part.register_forward_hook(lambda _, args, out, name=name: made.update({name: out}))
    with torch.no_grad():
        model(speckle(1, 1, 64, 96))
    pairs = {"up3": "encoder2", "decoder3": "encoder2", "up2": "down1", "decoder2": "down1", "up1": "stem"}
    assert given.keys() == pairs.keys()
    for part, source in pairs.items():
        assert torch.equal(given[part], made[source]), part


def test_decoder_queries_come_from_the_map_and_values_from_the_skip():
    # A constant skip has one value, so it adds the same everywhere, though the queries differ from place to place.
    torch.manual_seed(0)
    block = DecoderBlock(16, 4, 8, position_encoding=True, cross_attention=True).eval().double()
    torch.nn.init.zeros_([m for m in block.modules() if isinstance(m, nn.Conv2d)][-1].weight)  # no feed-forward
    x, zero = torch.randn(1, 16, 8, 8).double(), torch.zeros(1, 16, 8, 8).double()
    skip = torch.randn(1, 16, 1, 1).double().expand(-1, -1, 8, 8)
    with torch.no_grad():
        added = block(x, skip) - block(x, zero)
    assert added.abs().max() > 1e-3
    torch.testing.assert_close(added, added[..., :1, :1].expand_as(added), atol=1e-12, rtol=0)


def test_position_encoding_has_no_parameters_and_changes_the_output():
    # Fresh weights attend almost evenly, so the effect is small; float64 leaves no doubt about rounding.
    model, twin, without = (small(position_encoding=p).eval().double() for p in (True, True, False))
    twin.load_state_dict(model.state_dict())
    without.load_state_dict(model.state_dict())
    x = speckle(1, 1, 64, 64).double()
    with torch.no_grad():
        assert torch.equal(model(x), twin(x))
        assert (model(x) - without(x)).abs().max() > 1e-6


@pytest.mark.parametrize("sampling", ["puffed", "bottleneck", "plain"])
def test_one_set_of_weights_serves_every_size(sampling):
    model = small(sampling=sampling).eval()
    with torch.no_grad():
        for h, w in [(200, 200), (224, 224), (256, 256), (64, 96), (8, 40)]:
            logits = model(speckle(1, 1, h, w))
            assert logits.shape == (1, 1, h, w)
            assert logits.isfinite().all()
            assert logits.std() > 1e-4


@pytest.mark.parametrize(
    ("h", "w", "near"),
    [(60, 60, "56x56 and 64x64"), (64, 60, "64x56 and 64x64"), (4, 64, "8x64 and 8x64")],
)
def test_a_size_that_is_no_multiple_of_8_is_refused(h, w, near):
    with pytest.raises(ValueError, match=rf"multiples of 8, got {h}x{w}\. Nearest sizes that work: {near}"):
        small()(torch.zeros(1, 1, h, w))


@pytest.mark.parametrize("width", [0, -4, 6])
def test_a_width_that_heads_do_not_divide_is_refused(width):
    with pytest.raises(ValueError, match=f"positive multiple of heads = 4, got {width}"):
        SpTUNet(width=width)


def test_a_width_too_small_for_the_bottleneck_is_refused():
    with pytest.raises(ValueError, match=r"bottleneck.*at least 8, got 4"):
        SpTUNet(width=4, sampling="bottleneck")


def test_an_odd_width_does_not_fit_the_position_encoding():
    with pytest.raises(ValueError, match="position encoding needs an even width, got 3"):
        SpTUNet(width=3, heads=1)
    SpTUNet(width=3, heads=1, position_encoding=False)(speckle(2, 1, 16, 16))


def test_channels_in_and_out():
    assert small(in_channels=3, out_channels=2)(speckle(2, 3, 16, 24)).shape == (2, 2, 16, 24)


def test_gradient_agrees_with_finite_differences():
    model, x, h = small().eval().double(), speckle(1, 1, 16, 24).double().requires_grad_(), 1e-6
    along = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
    with torch.no_grad():
        difference = model(x + h * along).square().sum() - model(x - h * along).square().sum()
    assert (gradient * along).sum().item() == pytest.approx(difference.item() / (2 * h), rel=1e-4)


def test_a_pixel_reaches_the_whole_image():
    # Attention: far beyond the receptive field of the convolutions (less than 120 px).
    model = small().eval()
    x = speckle(1, 1, 256, 256).requires_grad_()
    model(x)[0, 0, 0, 0].backward()
    assert x.grad[0, 0, -16:, -16:].abs().min() > 0
