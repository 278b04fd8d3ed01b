"""From pairs to reconstructed images."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation

Reconstruct = Callable[[Float[Tensor, "b 1 h w"]], Float[Tensor, "b 1 h w"]]
"""Prepared speckle to image in [0, 1]."""


@torch.no_grad()
def predict_pairs(
    reconstruct: Reconstruct,
    pairs: Pairs,
    preparation: Preparation,
    batch_size: int,
    device: torch.device | str,
) -> Float[Tensor, "n 1 h w"]:
    """Reconstruct every speckle of a split, in order, as float32 on the CPU."""
    return torch.cat(
        [
            reconstruct(preparation(pairs.speckle[at : at + batch_size, None]).to(device)).float().cpu()
            for at in range(0, len(pairs), batch_size)
        ]
    )
