"""Grey levels as classes: is the true level among the most likely ones?"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.precision import in_float64


def top_k_accuracy(logits: Float[Tensor, "b c h w"], level: Int[Tensor, "b h w"], k: int) -> Float[Tensor, " b"]:
    """Share of the pixels of every image whose true level is among the ``k`` most likely.

    Equal logits are ranked by level, so that ``k = 1`` is the accuracy of ``logits.argmax(1)``. An image that has a NaN
    logit has the value NaN. The levels are visited one by one: no second tensor of the logits' size is made.

    Args:
        logits: one channel a level.
        level: the true level of every pixel.
        k: how many levels may be named.
    Raises:
        ValueError: if the shapes do not belong together or ``k`` is not a number of levels.
    Source: the definition. Differs: torchmetrics leaves ties to the sort's order.
    """
    levels = logits.shape[1]
    if level.shape != logits[:, 0].shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} need levels {tuple(logits[:, 0].shape)}, got {tuple(level.shape)}. "
            "Give class indices without a channel axis: target[:, 0]."
        )
    if not 1 <= k <= levels:
        raise ValueError(f"k must be between 1 and the {levels} levels of the logits, got {k}.")
    true = logits.gather(1, level[:, None])[:, 0]
    ahead = torch.zeros_like(level)
    undefined = torch.zeros_like(level, dtype=torch.bool)
    for other in range(levels):
        ahead += torch.where(level > other, logits[:, other] >= true, logits[:, other] > true)
        undefined |= logits[:, other].isnan()
    right, undefined = (in_float64(x) for x in ((ahead < k).flatten(1).sum(1), undefined.flatten(1).any(1)))
    return (right / level[0].numel()).masked_fill(undefined > 0, float("nan"))
