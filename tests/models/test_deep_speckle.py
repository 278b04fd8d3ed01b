import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spt.models import DeepSpeckle, deep_speckle
from spt.models.deep_speckle import DenseBlock, UpLevel

Row = tuple[str, int, int, int, int]


def recipe() -> tuple[list[Row], dict[str, int]]:
    """Convolutions (name, kernel side, channels in, out, halvings) and BatchNorms (name: channels) as published."""
    convs, norms = [], {}

    def dense(name: str, channels: int, units: int, halvings: int) -> None:
        for unit in range(units):
            convs.append((f"{name}.units.{unit}.2", 5, channels + 16 * unit, 16, halvings))
            norms[f"{name}.units.{unit}.0"] = channels + 16 * unit

    for i, (before, width) in enumerate([(1, 64), (128, 128), (192, 256), (320, 512), (576, 1024)]):
        convs.append((f"encoder.{i}.0.0", 3, before, width, i))
        dense(f"encoder.{i}.1", width, 4, i)
    for i, (before, skip, width) in enumerate([(1088, 576, 512), (560, 320, 256), (304, 192, 128), (176, 128, 64)]):
        convs.append((f"decoder.{i}.up", 2, before, width, 3 - i))
        convs.append((f"decoder.{i}.fuse.0.0", 3, skip + width, width, 3 - i))
        dense(f"decoder.{i}.fuse.1", width, 3, 3 - i)
    return [*convs, ("head.0.0", 3, 112, 32, 0), ("head.1", 1, 32, 2, 0)], norms


def numbers(tensors) -> int:
    return sum(t.numel() for t in tensors)


def speckle(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def published() -> DeepSpeckle:
    """The published network without memory."""
    with torch.device("meta"):
        return DeepSpeckle()


@pytest.fixture(scope="module")
def fresh() -> DeepSpeckle:
    """The published network as initialised."""
    torch.manual_seed(0)
    return DeepSpeckle().eval()


@pytest.fixture
def thin(monkeypatch):
    """The published skeleton, a few channels wide, in float64."""
    monkeypatch.setattr(deep_speckle, "ENCODER", (4, 6, 8, 10, 12))
    monkeypatch.setattr(deep_speckle, "DECODER", (10, 8, 6, 4))

    def build(**settings) -> DeepSpeckle:
        torch.manual_seed(0)
        return DeepSpeckle(**settings).double()

    return build


def test_parameters_and_moving_statistics(published):
    assert numbers(published.parameters()) == 21_850_530
    statistics = [b for n, b in published.named_buffers() if n.endswith(("running_mean", "running_var"))]
    assert numbers(statistics) == 22_976
    assert all(p.requires_grad for p in published.parameters())


def test_parameters_of_every_layer(published):
    convs, norms = recipe()
    assert (len(convs), len(norms)) == (47, 32)
    expected = {name: k * k * i * o + o for name, k, i, o, _ in convs} | {name: 2 * c for name, c in norms.items()}
    layers = {n: m for n, m in published.named_modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)}
    assert {name: numbers(layer.parameters()) for name, layer in layers.items()} == expected
    assert sum(expected.values()) == 21_850_530


def test_convolutions_stand_in_the_published_order(published):
    convs = [(n, m) for n, m in published.named_modules() if isinstance(m, nn.Conv2d)]
    found = [(n, tuple(m.weight.shape)) for n, m in convs]
    assert found == [(name, (o, i, k, k)) for name, k, i, o, _ in recipe()[0]]
    assert [n for n, m in published.named_modules() if isinstance(m, nn.BatchNorm2d)] == list(recipe()[1])


def test_one_output_channel_has_33_parameters_less():
    with torch.device("meta"):
        assert numbers(DeepSpeckle(out_channels=1).parameters()) == 21_850_530 - 33


@pytest.mark.parametrize("side", [16, 256])
def test_macs(published, side):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        published.eval()(torch.empty(1, 1, side, side, device="meta"))
    closed = sum(k * k * i * o * (side >> halvings) ** 2 for _, k, i, o, halvings in recipe()[0])
    assert counter.get_total_flops() == 2 * closed
    assert closed * 256**2 == 70_706_135_040 * side**2


def test_dense_convolutions_are_dilated_and_keep_the_size(published):
    convs = dict(published.named_modules())
    for name, kernel, *_ in recipe()[0]:
        conv = convs[name]
        dilation, padding = {5: (2, 4), 3: (1, 1), 2: (1, 0), 1: (1, 0)}[kernel]
        assert (conv.dilation, conv.padding, conv.stride) == ((dilation,) * 2, (padding,) * 2, (1, 1)), name


def test_batch_norms_have_keras_constants(published):
    norms = [m for m in published.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum, m.affine, m.track_running_stats) for m in norms} == {(1e-3, 0.01, True, True)}


@pytest.mark.parametrize("p", [0.5, 0.25])
def test_dropout_stands_in_all_32_units(p):
    with torch.device("meta"):
        model = DeepSpeckle(dropout=p)
    drops = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert drops == {name.removesuffix("0") + "3": p for name in recipe()[1]}


def test_dropout_acts_in_training_only(thin):
    model, without, x = thin(), thin(dropout=0.0), speckle(2, 1, 32, 32).double()
    with torch.no_grad():
        assert (model(x) - model(x)).abs().max() > 1e-3
        assert torch.equal(without(x), without(x))
        model.load_state_dict(without.state_dict())
        assert torch.equal(model.eval()(x), without.eval()(x))


def test_dropout_falls_on_the_new_features_and_rescales_them():
    block, x = DenseBlock(4, 1, 0.75), speckle(2, 4, 32, 32)
    whole = DenseBlock(4, 1, 0.0)
    whole.load_state_dict(block.state_dict())
    with torch.no_grad():
        some, every = block(x), whole(x)
    kept = some[:, 4:] != 0
    assert torch.equal(some[:, :4], x)
    torch.testing.assert_close(some[:, 4:][kept], 4 * every[:, 4:][kept])
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("unit", range(4))
def test_every_unit_of_a_dense_block_sees_all_before_it_and_appends_its_own(unit):
    block, x = DenseBlock(6, 4, 0.5).eval().double(), speckle(1, 6, 12, 12).double()
    first, after = 6 + 16 * unit, 6 + 16 * (unit + 1)
    shift = torch.arange(1.0, 17.0).double() / 4
    with torch.no_grad():
        before = block(x)
        block.units[unit][2].bias += shift
        change = block(x) - before
    assert before.shape == (1, 6 + 4 * 16, 12, 12)
    assert torch.equal(before[:, :6], x)
    assert torch.equal(change[:, :first], torch.zeros(1, first, 12, 12).double())
    torch.testing.assert_close(change[0, first:after], shift[:, None, None].expand(-1, 12, 12))
    assert (change[0, after:].abs().amax((1, 2)) > 1e-3).all()


def test_each_channel_before_a_unit_reaches_it():
    block, x = DenseBlock(3, 3, 0.5).eval().double(), speckle(1, 35, 12, 12).double().requires_grad_()
    (gradient,) = torch.autograd.grad(block.units[2](x).square().sum(), x)
    assert (gradient[0].abs().amax((1, 2)) > 0).all()


def test_a_unit_reaches_8_pixels_far_on_every_second_pixel():
    unit = DenseBlock(1, 1, 0.5).eval().units[0]
    x = torch.ones(1, 1, 13, 13, requires_grad=True)
    (gradient,) = torch.autograd.grad(unit(x)[0, :, 6, 6].abs().sum(), x)
    expected = torch.zeros(13, 13, dtype=torch.bool)
    expected[2:11:2, 2:11:2] = True
    assert torch.equal(gradient[0, 0] != 0, expected)


def keras_same_2x2(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, before: int) -> np.ndarray:
    """A 2x2 convolution with ``before`` rows and columns of zeros above and left, the rest below and right."""
    (_, h, w), padded = x.shape, np.pad(x, ((0, 0), (before, 1 - before), (before, 1 - before)))
    out = np.empty((len(bias), h, w))
    for o, i, j in itertools.product(range(len(bias)), range(h), range(w)):
        out[o, i, j] = (weight[o] * padded[:, i : i + 2, j : j + 2]).sum() + bias[o]
    return out


def test_up_pads_right_and_bottom_and_the_skip_comes_first():
    level, seen = UpLevel(3, 5, 4, 0.5).eval().double(), []
    level.fuse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x, skip = torch.randn(1, 3, 3, 4).double(), torch.randn(1, 5, 6, 8).double()
    with torch.no_grad():
        assert level(x, skip).shape == (1, 4 + 3 * 16, 6, 8)
    near = np.kron(x[0].numpy(), np.ones((1, 2, 2)))
    right, left = (
        np.maximum(keras_same_2x2(near, level.up.weight.detach().numpy(), level.up.bias.detach().numpy(), before), 0)
        for before in (0, 1)
    )
    assert torch.equal(seen[0][:, :5], skip)
    np.testing.assert_allclose(seen[0][0, 5:].numpy(), right, atol=1e-12)
    assert np.abs(seen[0][0, 5:].numpy() - left).max() > 0.1


def test_skips_are_taken_after_the_dense_blocks_and_the_deepest_goes_up(thin):
    model, seen = thin().eval(), {}
    for depth, block in enumerate(model.encoder):
        block.register_forward_hook(lambda m, i, out, depth=depth: seen.update({f"encoder {depth}": out}))
    for level, up in enumerate(model.decoder):
        up.register_forward_pre_hook(lambda m, inputs, level=level: seen.update({f"decoder {level}": inputs}))
    with torch.no_grad():
        model(speckle(1, 1, 32, 32).double())
    for level in range(4):
        assert seen[f"decoder {level}"][1] is seen[f"encoder {3 - level}"]
    assert seen["decoder 0"][0] is seen["encoder 4"]


def test_the_encoder_halves_by_maxima(thin):
    model, seen = thin().eval(), []
    model.encoder[0].register_forward_hook(lambda m, i, out: seen.append(out))
    model.encoder[1].register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(speckle(1, 1, 32, 32).double())
    fine, coarse = seen
    assert torch.equal(coarse, fine.unflatten(2, (16, 2)).unflatten(4, (16, 2)).amax((3, 5)))


def test_logits_are_not_squashed(thin):
    model, x = thin().eval(), speckle(1, 1, 16, 16).double()
    with torch.no_grad():
        model.head[-1].bias += torch.tensor([100.0, -100.0])
        logits = model(x)
    assert logits[:, 0].min() > 50
    assert logits[:, 1].max() < -50


def test_dense_kernels_start_he_uniform(fresh):
    for name, kernel, channels, _, _ in recipe()[0]:
        if kernel == 5:
            bound, weight = math.sqrt(6 / (25 * channels)), fresh.get_submodule(name).weight
            assert 0.995 * bound < weight.abs().max() <= bound * (1 + 1e-6), name
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=5 / math.sqrt(weight.numel())), name


def test_other_kernels_before_a_relu_start_he_normal_cut_at_two_sigma(fresh):
    # A normal cut at two sigma keeps the share 0.8796 of sigma.
    for name, kernel, channels, *_ in recipe()[0]:
        if kernel in (2, 3):
            sigma, weight = math.sqrt(2 / (kernel**2 * channels)), fresh.get_submodule(name).weight
            assert 1.9 * sigma < weight.abs().max() <= 2 * sigma * (1 + 1e-6), name
            assert weight.std().item() == pytest.approx(0.8796 * sigma, rel=5 / math.sqrt(weight.numel())), name


def test_the_last_kernel_starts_glorot_uniform(thin):
    bound, weight = math.sqrt(6 / (32 + 300)), thin(out_channels=300).head[-1].weight
    assert 0.995 * bound < weight.abs().max() <= bound * (1 + 1e-6)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_biases_start_at_zero_and_batch_norms_at_the_identity(fresh):
    for module in fresh.modules():
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_parameter_groups_regularise_dense_kernels_and_batch_norms_only(published):
    chosen, rest = published.parameter_groups()
    assert (chosen["weight_decay"], rest["weight_decay"]) == (2e-4, 0)
    assert numbers(chosen["params"]) == 4_595_200 + 22_976
    assert numbers(rest["params"]) == 21_850_530 - 4_595_200 - 22_976
    convs, norms = recipe()
    names = {f"{n}.weight" for n, kernel, *_ in convs if kernel == 5} | {
        f"{n}.{p}" for n in norms for p in ("weight", "bias")
    }
    assert {id(p) for p in chosen["params"]} == {id(p) for n, p in published.named_parameters() if n in names}


@pytest.mark.parametrize("eps", [1e-8, 1.0])
def test_a_step_of_adam_with_the_groups_is_a_step_on_the_penalised_loss(thin, eps):
    # Adam's first step is nearly the sign of the gradient; with eps = 1 it shows the gradient's size too.
    l2, x = 0.05, speckle(2, 1, 32, 32).double()

    def stepped(model: DeepSpeckle, groups, penalty: float) -> torch.Tensor:
        loss = model(x).square().mean()
        loss = loss + penalty * sum(p.square().sum() for p in model.parameter_groups()[0]["params"])
        optimizer = torch.optim.Adam(groups, lr=1e-2, eps=eps)
        loss.backward()
        optimizer.step()
        return nn.utils.parameters_to_vector(model.parameters()).detach()

    grouped, penalised, neither = (thin(dropout=0.0, l2=l2) for _ in range(3))
    found = stepped(grouped, grouped.parameter_groups(), 0)
    torch.testing.assert_close(found, stepped(penalised, penalised.parameters(), l2), rtol=1e-9, atol=1e-12)
    assert (found - stepped(neither, neither.parameters(), 0)).abs().max() > 5e-4


@pytest.mark.parametrize("l2", [0, 0.3])
def test_l2_sets_the_weight_decay(thin, l2):
    assert [group["weight_decay"] for group in thin(l2=l2).parameter_groups()] == [2 * l2, 0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dropout": 1.0}, "got 1.0 and 0.0001"),
        ({"dropout": -0.1}, "got -0.1 and 0.0001"),
        ({"dropout": float("nan")}, "got nan and 0.0001"),
        ({"l2": -1e-4}, "got 0.5 and -0.0001"),
        ({"l2": float("inf")}, "got 0.5 and inf"),
        ({"l2": float("nan")}, "got 0.5 and nan"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=rf"0 <= dropout < 1 and l2 >= 0, {said}"):
        DeepSpeckle(**settings)


@pytest.mark.parametrize(
    ("h", "w", "near"),
    [(60, 60, "48x48 and 64x64"), (64, 40, "64x32 and 64x48"), (8, 64, "16x64 and 16x64"), (0, 32, "16x32 and 16x32")],
)
def test_a_size_that_is_no_multiple_of_16_is_refused(published, h, w, near):
    with pytest.raises(ValueError, match=rf"DeepSpeckle: .*multiples of 16, got {h}x{w}\. .* that work: {near}\."):
        published(torch.empty(1, 1, h, w, device="meta"))


@pytest.mark.parametrize(("h", "w"), [(16, 16), (32, 48), (80, 16)])
def test_sizes_that_need_not_be_square(fresh, h, w):
    with torch.no_grad():
        logits = fresh(speckle(1, 1, h, w))
    assert logits.shape == (1, 2, h, w)
    assert logits.isfinite().all()
    assert logits.std() > 1e-4


def test_channels_in_and_out(thin):
    assert thin(in_channels=3, out_channels=5)(speckle(2, 3, 32, 16).double()).shape == (2, 5, 32, 16)
