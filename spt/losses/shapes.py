"""What every loss does first: shapes are checked, reductions run in at least float32."""

import torch
from jaxtyping import Float
from torch import Tensor

from spt import shapes


def same_shape(logits: Tensor, target: Tensor) -> None:
    """Refuse logits and target of different shapes, see :func:`spt.shapes.same_shape`."""
    shapes.same_shape(logits, target, "logits")


def in_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Promote to at least float32: in half precision the sums over 65,536 pixels overflow or lose the small terms."""
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)


def probabilities(logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Sigmoid for one channel, softmax over the channels for more."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
