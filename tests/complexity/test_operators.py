"""Every operator against a count worked by hand, and against other counters where they are right."""

import math

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from ptflops import get_model_complexity_info
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spt.complexity.operators import Work
from spt.complexity.profile import profile


class Apply(nn.Module):
    """A function as a network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def works(model: nn.Module, *shape: int) -> list[Work]:
    return [c.work for c in profile(model, torch.zeros(shape)).calls if c.work.category != "movement"]


# Convolutions: output elements times weights of a filter -------------------------------------------------------------

CONVOLUTIONS = [
    # 3 -> 4 channels, 3x3, "same" on 6x6: 144 outputs of 27 products.
    (nn.Conv2d(3, 4, 3, padding=1, bias=False), (3, 6, 6), "convolution", 144 * 27),
    (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 6), "convolution", 144 * 27),
    # stride 2 on 9x7: 5x4 outputs.
    (nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 9, 7), "convolution", 4 * 5 * 4 * 27),
    # two groups: a filter sees 2 of 4 channels.
    (nn.Conv2d(4, 6, 5, groups=2), (4, 8, 8), "convolution", 6 * 4 * 4 * 2 * 25),
    # depthwise
    (nn.Conv2d(8, 8, 3, groups=8, padding=1), (8, 5, 5), "convolution", 8 * 25 * 9),
    # dilation 2: a 3x3 filter spans 5x5, 4x4 outputs are left of 8x8.
    (nn.Conv2d(2, 3, 3, dilation=2), (2, 8, 8), "dilated convolution", 3 * 16 * 18),
    (nn.Conv1d(2, 3, 5), (2, 20), "convolution", 3 * 16 * 10),
    (nn.Conv3d(1, 2, 3), (1, 4, 5, 6), "convolution", 2 * 2 * 3 * 4 * 27),
    # transposed, stride 2: every one of 3x25 inputs meets 4 filters of 2x2.
    (nn.ConvTranspose2d(3, 4, 2, stride=2), (3, 5, 5), "transposed convolution", 3 * 25 * 4 * 4),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False), (4, 5, 7), "transposed convolution", 140 * 3 * 9),
]


@pytest.mark.parametrize(("layer", "shape", "category", "macs"), CONVOLUTIONS)
def test_convolution(layer, shape, category, macs):
    (work,) = works(layer, 2, *shape)
    assert (work.category, work.macs, work.other) == (category, 2 * macs, 0)


@pytest.mark.parametrize(("layer", "shape", "category", "macs"), CONVOLUTIONS)
def test_torchs_own_counter_agrees_on_every_convolution(layer, shape, category, macs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(2, *shape))
    assert counter.get_total_flops() == 2 * 2 * macs


def test_a_bias_is_counted_apart():
    (with_bias,), (without,) = works(nn.Conv2d(1, 4, 3), 1, 1, 8, 8), works(nn.Conv2d(1, 4, 3, bias=False), 1, 1, 8, 8)
    assert (with_bias.bias, without.bias) == (4 * 36, 0)
    assert works(nn.Linear(3, 5), 2, 3)[0].bias == 10


# Matrix products -----------------------------------------------------------------------------------------------------


def test_linear():
    assert works(nn.Linear(7, 5), 2, 3, 7) == [Work("linear", 2 * 3 * 7 * 5, 0, 30)]


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x: x[0] @ x[0].T, 4 * 4 * 6),
        (lambda x: x @ x.mT, 3 * 4 * 4 * 6),
        (lambda x: torch.baddbmm(x.new_zeros(3, 4, 4), x, x.mT), 3 * 4 * 4 * 6),
        (lambda x: torch.addmm(x.new_zeros(4), x[0], x[0].T), 4 * 4 * 6),
        (lambda x: torch.einsum("bij,bkj->bik", x, x), 3 * 4 * 4 * 6),
        (lambda x: x @ x.new_zeros(6), 3 * 4 * 6),
    ],
)
def test_matmul(function, macs):
    products = [work for work in works(Apply(function), 3, 4, 6) if work.macs]
    assert [(work.category, work.macs) for work in products] == [("matmul", macs)]


def test_lstm_and_gru():
    # Four gates of 5 on inputs of 3 and states of 5, for 7 steps of 2 sequences; GRU three gates.
    assert sum(w.macs for w in works(nn.LSTM(3, 5), 7, 2, 3)) == 7 * 2 * 4 * 5 * (3 + 5)
    assert sum(w.macs for w in works(nn.GRU(3, 5), 7, 2, 3)) == 7 * 2 * 3 * 5 * (3 + 5)


# Attention in three spellings ----------------------------------------------------------------------------------------


class Attention(nn.Module):
    """The same multi-head attention of 16 tokens, width 32, 4 heads, spelled in one of several ways."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling = spelling
        self.mha = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x):
        if self.spelling.startswith("mha"):
            return self.mha(x, x, x, need_weights=self.spelling == "mha with weights")[0]
        q, k, v = nn.functional.linear(x, self.mha.in_proj_weight, self.mha.in_proj_bias).chunk(3, dim=-1)
        q, k, v = (t.unflatten(-1, (4, 8)).transpose(1, 2) for t in (q, k, v))
        if self.spelling == "sdpa":
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.mT / math.sqrt(8)).softmax(dim=-1) @ v
        return self.mha.out_proj(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("spelling", ["sdpa", "matmul", "mha", "mha with weights"])
@pytest.mark.parametrize("training", [False, True])
def test_attention_costs_the_same_however_it_is_spelled(spelling, training):
    model = Attention(spelling).train(training)
    counted = profile(model, torch.zeros(2, 16, 32))
    # Four projections of 32x32 and two products of 16x16x32, for two sequences of 16 tokens.
    assert counted.macs == 2 * (4 * 16 * 32 * 32 + 2 * 16 * 16 * 32)
    assert counted.of("linear").macs == 2 * 4 * 16 * 32 * 32
    softmax_and_scale = 2 * 4 * 16 * 16 * 6
    assert counted.of("attention", "activation", "arithmetic").other == pytest.approx(softmax_and_scale, rel=0.35)
    assert not counted.uncounted


def test_transformer_encoder_layer_does_not_hide_behind_its_fast_path():
    layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True).eval()
    expected = 2 * (4 * 16 * 32 * 32 + 2 * 16 * 16 * 32 + 2 * 16 * 32 * 64)
    assert profile(layer, torch.zeros(2, 16, 32)).macs == expected
    assert torch.backends.mha.get_fastpath_enabled()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(2, 16, 32))
    assert counter.get_total_flops() < 2 * expected, "torch's counter has learnt to see the fast path: say so in docs"


def test_attention_with_other_keys_than_queries():
    # 5 queries, 7 keys, 2 heads of 4 and values of 6.
    model = Apply(lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v))
    shapes = [(3, 2, 5, 4), (3, 2, 7, 4), (3, 2, 7, 6)]
    (call,) = profile(model, *map(torch.zeros, shapes)).calls
    assert call.work == Work("attention", 3 * 2 * 5 * 7 * (4 + 6), 3 * 2 * 5 * 7 * 6)


# The rest ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "category", "operations"),
    [
        (nn.BatchNorm2d(4), "normalisation", 2 * 4 * 64),
        (nn.GroupNorm(2, 4), "normalisation", 5 * 4 * 64),
        (nn.LayerNorm(8), "normalisation", 5 * 4 * 64),
        (nn.InstanceNorm2d(4), "normalisation", 5 * 4 * 64),
        (nn.ReLU(), "activation", 4 * 64),
        (nn.ReLU(inplace=True), "activation", 4 * 64),
        (nn.LeakyReLU(), "activation", 4 * 64),
        (nn.PReLU(), "activation", 4 * 64),
        (nn.GELU(), "activation", 4 * 64),
        (nn.Sigmoid(), "activation", 4 * 64),
        (nn.SiLU(), "activation", 2 * 4 * 64),
        (nn.Softmax(dim=1), "activation", 5 * 4 * 64),
        (nn.MaxPool2d(2), "pooling", 4 * 16 * 4),
        (nn.AvgPool2d(3, 2), "pooling", 4 * 9 * 9),
        (nn.AdaptiveAvgPool2d(4), "pooling", 4 * 64),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "interpolation", 7 * 4 * 256),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "interpolation", 31 * 4 * 256),
        (nn.Upsample(scale_factor=2, mode="nearest"), "interpolation", 0),
        (Apply(lambda x: x + 1), "arithmetic", 4 * 64),
        (Apply(lambda x: x.add_(1)), "arithmetic", 4 * 64),
        (Apply(lambda x: x.sum()), "reduction", 4 * 64),
    ],
)
def test_operations_per_element(layer, category, operations):
    assert works(layer, 2, 4, 8, 8) == [Work(category, 0, 2 * operations)]


def test_the_fourier_transform_is_5_n_log_n():
    complex_field = Apply(lambda x: torch.fft.fft2(x.to(torch.complex64)))
    assert works(complex_field, 2, 3, 16, 32) == [Work("fft", 0, 2 * 3 * 5 * 512 * 9)]
    assert works(Apply(torch.fft.rfft2), 2, 3, 16, 32) == [Work("fft", 0, round(2 * 3 * 2.5 * 512 * 9))]
    there_and_back = works(Apply(lambda x: torch.fft.irfft2(torch.fft.rfft2(x))), 1, 16, 32)
    assert sum(work.other for work in there_and_back) == pytest.approx(2 * 2.5 * 512 * 9, rel=0.1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.reshape(4, -1).permute(1, 0).contiguous(),
        lambda x: torch.cat([x, x]).clone(),
        lambda x: nn.functional.pad(x, (1, 1)),
        lambda x: nn.functional.pixel_shuffle(x, 2),
        lambda x: x.double(),
        lambda x: x.roll(1),
    ],
)
def test_movement_is_no_arithmetic_but_counted(function):
    counted = profile(Apply(function), torch.zeros(2, 4, 8, 8))
    assert counted.flops == counted.other == 0
    assert not counted.uncounted


def test_memory_access_is_what_operators_read_and_write():
    # 2x3x8x8 in, 2x4x8x8 out, 4x3x3x3 weights, 4 biases, four bytes each.
    counted = profile(nn.Conv2d(3, 4, 3, padding=1), torch.zeros(2, 3, 8, 8))
    assert counted.bytes == 4 * (2 * 3 * 64 + 2 * 4 * 64 + 108 + 4)
    assert counted.intensity == pytest.approx(2 * 2 * 4 * 64 * 27 / counted.bytes)
    assert profile(Apply(lambda x: x.view(-1)), torch.zeros(2, 3)).bytes == 0


# Other counters ------------------------------------------------------------------------------------------------------


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(8, 8, 3, groups=4, dilation=2),
        nn.ConvTranspose2d(8, 4, 2, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 24 * 24, 10, bias=False),
    )


def fvcore_macs(model: nn.Module, x: torch.Tensor) -> float:
    analysis = FlopCountAnalysis(model.eval(), x)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def test_fvcore_agrees_on_convolutions_and_linear_layers():
    model = convolutional()
    assert profile(model, torch.zeros(1, 3, 32, 32)).macs == fvcore_macs(model, torch.zeros(1, 3, 32, 32))


def test_fvcore_does_not_see_scaled_dot_product_attention():
    model = Apply(lambda x: nn.functional.scaled_dot_product_attention(x, x, x))
    x = torch.zeros(1, 2, 16, 8)
    assert fvcore_macs(model, x) == 0
    assert profile(model, x).macs == 2 * 2 * 16 * 16 * 8


def ptflops_macs(model: nn.Module, shape: tuple[int, ...], backend: str = "pytorch") -> float:
    macs, _ = get_model_complexity_info(
        model, shape, as_strings=False, print_per_layer_stat=False, verbose=False, backend=backend
    )
    return macs


def test_ptflops_agrees_on_convolutions():
    layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.Conv2d(8, 8, 3, groups=4, bias=False)]
    model = nn.Sequential(*layers)
    assert profile(model, torch.zeros(1, 3, 32, 32)).macs == ptflops_macs(model, (3, 32, 32))


def test_ptflops_sees_no_attention_that_is_spelled_out():
    class Spelled(nn.Module):
        def forward(self, x):
            return torch.einsum("bij,bkj->bik", x, x)

    assert ptflops_macs(Spelled(), (16, 8)) == 0
    assert profile(Spelled(), torch.zeros(1, 16, 8)).macs == 16 * 16 * 8


# The notes' formulas as printed, and how far they are from the count -------------------------------------------------


def noted(model: nn.Module, *shape: int, second: bool = False) -> int:
    return sum(call.notes[second] for call in profile(model, torch.zeros(shape)).calls)


@pytest.mark.parametrize(("bias", "printed"), [(False, 7632), (True, 7776)])
def test_the_notes_example(bias, printed):
    layer = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
    assert noted(layer, 1, 3, 6, 6) == printed
    assert profile(layer, torch.zeros(1, 3, 6, 6)).flops == 7776


def test_under_stride_the_formula_is_stride_squared_too_high():
    counted = profile(nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.zeros(1, 3, 6, 6))
    assert sum(call.notes[0] for call in counted.calls) == 4 * counted.flops


def test_the_second_note_counts_macs_and_a_bias():
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    # 112 parameters, a bias for every filter, at 3x3 outputs.
    assert noted(layer, 5, 3, 6, 6, second=True) == 5 * 9 * 112
    assert profile(layer, torch.zeros(5, 3, 6, 6)).macs == 5 * 9 * 112 - 5 * 9 * 4
    assert noted(nn.ConvTranspose2d(3, 4, 2, stride=2), 1, 3, 5, 5, second=True) == 0


def test_fully_connected_is_macs_printed_as_flops():
    mlp = nn.Sequential(nn.Linear(6, 24, bias=False), nn.Linear(24, 6, bias=False))
    # D 4D N + 4D D N = 8 D^2 N
    assert noted(mlp, 5, 6) == 8 * 6**2 * 5 == profile(mlp, torch.zeros(5, 6)).macs


class SelfAttention(nn.Module):
    """Projections to q, k (and v), and the products; no output projection."""

    def __init__(self, project_v: bool) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.v = nn.Linear(8, 8, bias=False) if project_v else nn.Identity()

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))


@pytest.mark.parametrize("projections", [2, 3])
def test_both_printed_cases_of_attention_are_macs_and_one(projections):
    model = SelfAttention(project_v=projections == 3)
    # 2 Dk N Dx + 2 Dk N^2 + 1, and with v projected too 3 D^2 N + 2 D N^2 + 1.
    assert noted(model, 1, 10, 8) == projections * 8**2 * 10 + 2 * 8 * 10**2 + 1
    assert profile(model, torch.zeros(1, 10, 8)).macs == noted(model, 1, 10, 8) - 1
