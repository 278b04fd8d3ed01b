"""Table 1 of Attention Is All You Need in numbers."""

import math
from typing import NamedTuple


class LayerType(NamedTuple):
    """One row: orders of growth without their constants.

    Args:
        name: kind of layer.
        complexity: operations per layer.
        sequential: minimum number of sequential operations.
        path: maximum path length between two positions.
    """

    name: str
    complexity: float
    sequential: float
    path: float


def layer_types(n: int, d: int, k: int, r: int) -> list[LayerType]:
    """Return the four rows.

    Args:
        n: sequence length.
        d: width of the representation.
        k: kernel size of the convolution, at least 2: a kernel of 1 links nothing.
        r: size of the neighbourhood of restricted self-attention.
    Raises:
        ValueError: if a number is out of range.
    Source: Vaswani et al., Attention Is All You Need (2017), Table 1. Differs: nothing; log_k(n) is for dilated
        convolutions, contiguous ones need n/k layers.
    """
    if min(n, d, r) < 1 or k < 2 or r > n:
        raise ValueError(f"layer types need n, d >= 1, k >= 2 and 1 <= r <= n, got n={n}, d={d}, k={k}, r={r}.")
    return [
        LayerType("self-attention", n**2 * d, 1, 1),
        LayerType("recurrent", n * d**2, n, n),
        LayerType("convolutional", k * n * d**2, 1, math.log(n, k)),
        LayerType("restricted self-attention", r * n * d, 1, n / r),
    ]
