"""The notes' own formulas of operations, as printed, next to the counts of the dispatcher."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def formulas(name: str, args: Sequence[Any], out: Any) -> tuple[int, int]:
    """Apply the formulas to one operator: those of the first note, and of the second (convolutions alone).

    Units are mixed as the notes mix them: convolutions in operations; linear layers, ``D_in D_out N``, and attention's
    two products and a scale, ``2 D N^2 + 1``, in MACs, which the notes print as FLOPs.

    Source: the notes, section FLOPs; their example, a convolution 3, 4, 3x3, 6x6, gives 7632.
    """
    if name == "convolution":
        return _convolution(args, out)
    if name == "linear":
        return out.numel() * args[1].shape[-1], 0
    if name == "scaled_dot_product_attention":
        return (args[0].numel() + out.numel()) * args[1].shape[-2] + args[0].shape[0], 0
    return 0, 0


def _convolution(args: Sequence[Any], out: Tensor) -> tuple[int, int]:
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
