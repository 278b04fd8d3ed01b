"""SpT UNet's attention as it would be without the pooled grid: a full softmax over all tokens."""

import copy
import math
import sys

from jaxtyping import Float
from torch import Tensor, nn

from spt.models.attention import PooledAttention


def softmax_attention(
    q: Float[Tensor, "b n t d"], k: Float[Tensor, "b n s d"], v: Float[Tensor, "b n s d"]
) -> Float[Tensor, "b n t d"]:
    """``softmax(q k^T / sqrt(d)) v`` as it is written, with the whole matrix in memory.

    Source: Vaswani et al., Attention Is All You Need (2017), eq. (1). Differs: nothing.
    """
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1) @ v


def with_full_attention(model: nn.Module) -> nn.Module:
    """Return a copy with the same weights whose every attention sees all tokens, by the plain formula."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        if isinstance(module, PooledAttention):
            module.grid = sys.maxsize
            module.attend = softmax_attention
    return twin
