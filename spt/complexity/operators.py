"""What one operator of torch's dispatcher costs: multiply-accumulates, other operations, and by the notes' formulas."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

CONVOLUTIONS = ("convolution", "dilated convolution", "transposed convolution")
PRODUCTS = (*CONVOLUTIONS, "linear", "matmul", "attention", "recurrent")
OTHERS = ("fft", "interpolation", "normalisation", "activation", "pooling", "arithmetic", "reduction")
MOVEMENT = "movement"
"""Copies, views, concatenations, tensors filled with a constant: bytes, but no arithmetic."""


class Work(NamedTuple):
    """Cost of one call of an operator.

    Args:
        category: one of :data:`PRODUCTS`, :data:`OTHERS` or :data:`MOVEMENT`.
        macs: multiply-accumulates of matrix products; a bias is where the accumulator starts and costs nothing more.
        other: every other floating-point operation.
        bias: outputs that a bias is added to, for conventions that count these additions.
    """

    category: str
    macs: int = 0
    other: int = 0
    bias: int = 0


Rule = Callable[[Sequence[Any], Any], Work]


def convolution(args: Sequence[Any], out: Tensor) -> Work:
    """Each output element has one multiply-accumulate per weight of its filter; transposed: each input element."""
    x, weight, transposed = args[0], args[1], args[6]
    bias = out.numel() if args[2] is not None else 0
    if transposed:
        return Work("transposed convolution", x.numel() * weight[0].numel(), bias=bias)
    kind = "dilated convolution" if any(d != 1 for d in args[5]) else "convolution"
    return Work(kind, out.numel() * weight[0].numel(), bias=bias)


def linear(args: Sequence[Any], out: Tensor) -> Work:
    """``x W^T``: one multiply-accumulate per output element and input feature."""
    bias = out.numel() if len(args) > 2 and args[2] is not None else 0
    return Work("linear", out.numel() * args[1].shape[-1], bias=bias)


def product(factor: int) -> Rule:
    """Matrix product whose left matrix is the argument ``factor``."""
    return lambda args, out: Work("matmul", out.numel() * args[factor].shape[-1])


def attention(args: Sequence[Any], out: Tensor) -> Work:
    """``softmax(q k^T) v``: two matrix products; scale and softmax are six operations per weight."""
    weights = args[0].numel() // args[0].shape[-1] * args[1].shape[-2]
    return Work("attention", weights * args[0].shape[-1] + out.numel() * args[1].shape[-2], 6 * weights)


def recurrent(args: Sequence[Any], out: Any) -> Work:
    """oneDNN's LSTM layer: four gates, each a product with the input and one with the state."""
    x, w_input, w_state = args[0], args[1], args[2]
    steps = x.numel() // x.shape[-1]
    return Work("recurrent", steps * (w_input.numel() + w_state.numel()), steps * 9 * w_state.shape[-1])


def fft(args: Sequence[Any], out: Tensor) -> Work:
    """5 N log2 N for a complex transform of N points, half of it where one side is real."""
    larger = max((args[0], out), key=Tensor.numel)
    n = math.prod(larger.shape[d] for d in args[1])
    real = not (args[0].is_complex() and out.is_complex())
    return Work("fft", 0, round((2.5 if real else 5) * larger.numel() * math.log2(max(n, 1))))


def batch_norm(args: Sequence[Any], out: Any) -> Work:
    """Scale and shift by stored statistics; with statistics of the batch also the sums of x and of its square."""
    return Work("normalisation", 0, (5 if args[5] else 2) * args[0].numel())


def pooling(args: Sequence[Any], out: Any) -> Work:
    """One operation per element of every window."""
    out = out[0] if isinstance(out, tuple) else out
    kernel = args[1] if len(args[1]) > 1 else args[1] * (args[0].ndim - 2)
    return Work("pooling", 0, out.numel() * math.prod(kernel))


def per_output(category: str, operations: int = 1) -> Rule:
    """So many operations for every element that comes out."""
    return lambda args, out: Work(category, 0, operations * _first(out).numel())


def per_input(category: str, operations: int = 1) -> Rule:
    """So many operations for every element that goes in."""
    return lambda args, out: Work(category, 0, operations * _first(args).numel())


def no_arithmetic(args: Sequence[Any], out: Any) -> Work:
    """Nothing is computed."""
    return Work(MOVEMENT)


def _first(values: Any) -> Tensor:
    return next(leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


_COSTS: list[tuple[Rule, str]] = [
    (convolution, "convolution _convolution"),
    (linear, "linear"),
    (product(0), "mm bmm mv dot"),
    (product(1), "addmm baddbmm addmv addbmm"),
    (attention, "scaled_dot_product_attention"),
    (recurrent, "mkldnn_rnn_layer"),
    (fft, "_fft_c2c _fft_r2c _fft_c2r"),
    (per_output("interpolation", 0), "upsample_nearest1d upsample_nearest2d upsample_nearest3d"),
    (per_output("interpolation", 0), "_upsample_nearest_exact1d _upsample_nearest_exact2d"),
    (per_output("interpolation", 3), "upsample_linear1d"),
    (per_output("interpolation", 7), "upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d"),
    (per_output("interpolation", 15), "upsample_trilinear3d grid_sampler_3d"),
    (per_output("interpolation", 31), "upsample_bicubic2d _upsample_bicubic2d_aa"),
    (batch_norm, "batch_norm"),
    (per_input("normalisation", 5), "layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm"),
    (pooling, "max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d"),
    # Exact where the windows do not overlap.
    (per_input("pooling"), "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d adaptive_avg_pool1d"),
    (per_input("pooling"), "adaptive_max_pool2d adaptive_max_pool3d adaptive_max_pool1d"),
    (per_output("activation"), "relu relu6 leaky_relu prelu _prelu_kernel rrelu threshold hardtanh"),
    (per_output("activation"), "sigmoid hardsigmoid tanh gelu elu celu selu mish softplus log_sigmoid"),
    (per_output("activation", 2), "silu hardswish glu"),
    (per_output("activation", 5), "_softmax _log_softmax"),
    (per_input("reduction"), "sum mean amax amin max min prod var std var_mean std_mean argmax argmin any all"),
    (per_input("reduction"), "linalg_vector_norm norm cumsum cumprod logsumexp"),
    (no_arithmetic, "cat stack clone copy _to_copy contiguous constant_pad_nd reflection_pad1d reflection_pad2d"),
    (no_arithmetic, "replication_pad1d replication_pad2d roll flip index index_select gather scatter embedding"),
    (no_arithmetic, "empty zeros ones full new_zeros new_ones new_full new_empty zeros_like ones_like full_like"),
    (no_arithmetic, "empty_like arange linspace scalar_tensor lift_fresh_copy lift_fresh eye _unsafe_view"),
    (no_arithmetic, "_unsafe_index dropout feature_dropout alpha_dropout repeat fill zero im2col unfold"),
    (no_arithmetic, "channel_shuffle pixel_shuffle pixel_unshuffle masked_fill where tril triu _local_scalar_dense"),
    (no_arithmetic, "item is_same_size _assert_async _linalg_check_errors"),
]
RULES: dict[str, Rule] = {name: rule for rule, names in _COSTS for name in names.split()}
"""Operator of ``torch.ops.aten``, without the underscore of its in-place twin, to its cost.

Interpolation of n neighbours is n products and n - 1 sums, bilinear 7; nearest is none.
"""


def name_of(func: OpOverload) -> str:
    """Return the operator's name as :data:`RULES` has it, or with its namespace where it is not torch's own."""
    name = func._schema.name
    short = name.removeprefix("aten::")
    in_place = func._schema.is_mutable and short.endswith("_") and not short.endswith("__")
    return short.rstrip("_") if in_place else short


def rule_for(func: OpOverload) -> Rule | None:
    """Return the cost of an operator, or None where nobody has said what it costs."""
    rule = RULES.get(name_of(func))
    if rule is None and func.is_view:
        return no_arithmetic
    if rule is None and torch.Tag.pointwise in func.tags:
        return per_output("arithmetic")
    return rule


def by_the_notes(name: str, args: Sequence[Any], out: Any) -> tuple[int, int]:
    """Apply the formulas to one operator: those of the first note, and of the second (convolutions alone).

    Units are mixed as the notes mix them: convolutions in operations; linear layers, ``D_in D_out N``, and attention's
    two products and a scale, ``2 D N^2 + 1``, in MACs, which the notes print as FLOPs.

    Source: the notes, section FLOPs; their example, a convolution 3, 4, 3x3, 6x6, gives 7632.
    """
    if name == "convolution":
        return _convolution_by_the_notes(args, out)
    if name == "linear":
        return out.numel() * args[1].shape[-1], 0
    if name == "scaled_dot_product_attention":
        return (args[0].numel() + out.numel()) * args[1].shape[-2] + args[0].shape[0], 0
    return 0, 0


def _convolution_by_the_notes(args: Sequence[Any], out: Tensor) -> tuple[int, int]:
    """First note: ``(2 Cin Kh Kw - 1) Cout H W`` with the INPUT's size, without the -1 where there is a bias.

    Under stride s that is s^2 times too high; at stride 1 with "same" padding it is exact. Second note, section
    模型复杂度: ``H' W' n (h w c + 1)`` with the OUTPUT's size: MACs, and one more for a bias, also where there is none.
    """
    x, weight, bias, transposed, groups = args[0], args[1], args[2], args[6], args[8]
    if x.ndim != 4:
        return 0, 0
    window = x.shape[1] // groups * weight.shape[2] * weight.shape[3]
    first = (2 * window - (bias is None)) * out.shape[1] * x.shape[2] * x.shape[3]
    second = out.shape[2] * out.shape[3] * out.shape[1] * (window + 1)
    return x.shape[0] * first, (0 if transposed else x.shape[0] * second)
