"""The walk through a U-Net: down by max-pooling, up with the skips."""

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def down_and_up(
    x: Float[Tensor, "b i h w"], encoder: Iterable[nn.Module], decoder: Iterable[nn.Module]
) -> Float[Tensor, "b o h w"]:
    """Run the encoder's levels with 2x2 max-pooling between them, then the decoder's from the deepest up.

    Args:
        x: image.
        encoder: one module a level, finest first.
        decoder: one module a level but the deepest, coarsest first; each is called with (map, skip).
    Source: Ronneberger, Fischer, Brox, U-Net (2015), figure 1. Differs: padded convolutions keep the skips' sizes.
    """
    skips: list[Tensor] = []
    for block in encoder:
        x = block(F.max_pool2d(x, 2) if skips else x)
        skips.append(x)
    skips.pop()
    for level in decoder:
        x = level(x, skips.pop())
    return x
