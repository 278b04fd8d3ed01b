"""The notes' own formulas of operations, as printed, beside the counts of the dispatcher."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def convolution_flops(
    in_channels: int, out_channels: int, kernel: tuple[int, int], size: tuple[int, int], bias: bool
) -> int:
    """``(2 Cin Kh Kw - 1) Cout H W`` with the INPUT's size, without the -1 where there is a bias.

    Operations proper, not MACs. Under stride s it is s^2 times too high; at stride 1 with "same" padding it is exact.

    Source: the notes, section FLOPs, 1. Convolution; their example: 3, 4, 3x3, 6x6 gives 7632. Differs: nothing.
    """
    return (2 * in_channels * kernel[0] * kernel[1] - (not bias)) * out_channels * size[0] * size[1]


def attention_flops(tokens: int, keys: int, inputs: int) -> int:
    """``2 Dk N Dx + 2 Dk N^2 + 1``: projections to q and k, the two products, one scale.

    MACs printed as FLOPs: the operations are about twice as many.

    Args:
        tokens: N.
        keys: width Dk of q and k.
        inputs: width Dx of the tokens.
    Source: the notes, section FLOPs, 2. Attention, first case. Differs: nothing.
    """
    return 2 * keys * tokens * inputs + 2 * keys * tokens**2 + 1


def attention_flops_equal_widths(tokens: int, width: int) -> int:
    """``3 D^2 N + 2 D N^2 + 1``: as :func:`attention_flops` with v projected too, all widths D. MACs again.

    Source: the notes, section FLOPs, 2. Attention, second case. Differs: nothing. The output projection is in neither.
    """
    return 3 * width**2 * tokens + 2 * width * tokens**2 + 1


def fully_connected_flops(width: int, batch: int) -> int:
    """``D 4D N + 4D D N = 8 D^2 N``: a hidden layer of 4 D. MACs printed as FLOPs: operations are 16 D^2 N.

    Source: the notes, section FLOPs, 3. Fully connected. Differs: nothing.
    """
    return 8 * width**2 * batch


def convolution_parameters(kernel: tuple[int, int], in_channels: int, out_channels: int) -> int:
    """``n (h w c + 1)``: a bias for every filter, also where the layer has none.

    Source: the second note, 模型复杂度. Differs: nothing.
    """
    return out_channels * (kernel[0] * kernel[1] * in_channels + 1)


def convolution_flops_from_parameters(kernel: tuple[int, int], in_channels: int, out_channels: int, size: Any) -> int:
    """``H' W' n (h w c + 1)``, the OUTPUT's size: MACs, plus one for the bias.

    Source: the second note, 模型复杂度. Differs: nothing.
    """
    return size[0] * size[1] * convolution_parameters(kernel, in_channels, out_channels)


def formulas(name: str, args: Sequence[Any], out: Any) -> tuple[int, int]:
    """Apply the formulas to one operator: those of the first note, and of the second (convolutions alone).

    Units are mixed as the notes mix them: convolutions in operations, attention's products and linear layers in MACs.
    """
    if name == "convolution":
        return _convolution(args, out)
    if name == "linear":
        return out.numel() * args[1].shape[-1], 0
    if name == "scaled_dot_product_attention":
        products = args[0].numel() * args[1].shape[-2] + out.numel() * args[1].shape[-2]
        return products + args[0].shape[0], 0
    return 0, 0


def _convolution(args: Sequence[Any], out: Tensor) -> tuple[int, int]:
    x, weight, bias, transposed, groups = args[0], args[1], args[2], args[6], args[8]
    if x.ndim != 4:
        return 0, 0
    kernel, batch = tuple(weight.shape[2:]), x.shape[0]
    into = x.shape[1] // groups
    first = convolution_flops(into, out.shape[1], kernel, tuple(x.shape[2:]), bias is not None)
    second = convolution_flops_from_parameters(kernel, into, out.shape[1], out.shape[2:])
    return batch * first, (0 if transposed else batch * second)
