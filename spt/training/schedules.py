"""What the optimizer is told: which parameters decay, and how the learning rate runs."""

import math
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """The network's own ``parameter_groups()`` where it has them, else kernels with decay, biases and norms without.

    Source: Loshchilov & Hutter (2019) for the decay; leaving out vectors as in timm and nanoGPT. Differs: nothing.
    """
    own = getattr(model, "parameter_groups", None)
    if own is not None:
        return own()
    parameters = [p for p in model.parameters() if p.requires_grad]
    kernels, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    return [{"params": kernels}, {"params": vectors, "weight_decay": 0.0}]


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to ``final`` times the learning rate.

    Args:
        optimizer: whose learning rate is the peak.
        total_steps: steps of the whole training.
        warmup: share of the steps spent warming up, in [0, 1).
        final: last learning rate over the peak, in [0, 1].
    Raises:
        ValueError: if a share is out of range.
    Source: Loshchilov & Hutter, SGDR (2017), eq. (5), without restarts. Differs: the warm-up.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, final: float = 0.0) -> None:
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise ValueError(f"scheduler needs 0 <= warmup < 1 and 0 <= final <= 1, got {warmup} and {final}.")
        rise = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            along = min(1.0, (step - rise) / max(1, total_steps - rise))
            return final + (1 - final) * (1 + math.cos(math.pi * along)) / 2

        super().__init__(optimizer, factor)


class Constant(LambdaLR):
    """The learning rate as it is."""

    def __init__(self, optimizer: Optimizer, total_steps: int) -> None:
        super().__init__(optimizer, lambda step: 1.0)
