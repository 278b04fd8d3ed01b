"""Table 1 of Attention Is All You Need in numbers."""

import math

from spt.complexity.sheet import Sheet
from spt.errors import InvalidValue


def layer_types(n: int, d: int, k: int, r: int) -> Sheet:
    """Orders of growth of four layers without their constants.

    Args:
        n: sequence length.
        d: width of the representation.
        k: kernel size of the convolution, at least 2: a kernel of 1 links nothing.
        r: size of the neighbourhood of restricted self-attention.
    Raises:
        InvalidValue: if a number is out of range.
    Source: Vaswani et al., Attention Is All You Need (2017), Table 1; log_k(n) is for dilated convolutions, contiguous
        ones need n/k layers.
    """
    if min(n, d, r) < 1 or k < 2 or r > n:
        raise InvalidValue(f"layer_types needs n, d >= 1, k >= 2 and 1 <= r <= n, got n={n}, d={d}, k={k}, r={r}.")
    columns = ("layer type", "complexity per layer", "sequential operations", "maximum path length")
    rows = [
        ("self-attention", n**2 * d, 1, 1),
        ("recurrent", n * d**2, n, n),
        ("convolutional", k * n * d**2, 1, math.log(n, k)),
        ("restricted self-attention", r * n * d, 1, n / r),
    ]
    title = f"Attention Is All You Need, Table 1: n = {n}, d = {d}, k = {k}, r = {r}"
    return Sheet("layer_types", title, [dict(zip(columns, row, strict=True)) for row in rows])
