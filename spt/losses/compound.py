"""Weighted sums of losses."""

import functools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.losses.image_loss import ImageLoss


class CompoundLoss(ImageLoss):
    """``sum(weight * loss(logits, target))``: a new pair is one yaml file.

    Args:
        losses: the losses, each called with (logits, target).
        weights: one finite, non-negative number a loss.
        check: see :class:`ImageLoss`; once for all losses.
    Raises:
        InvalidValue: if the lengths differ, nothing is given, or a weight is negative or not finite.
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float], check: bool = False) -> None:
        super().__init__(check)
        if not losses or len(losses) != len(weights):
            raise InvalidValue(
                f"a compound needs one weight a loss, got {len(losses)} losses and {len(weights)} weights."
            )
        if not all(0 <= w < float("inf") for w in weights):
            raise InvalidValue(f"weights must be finite and not negative, got {list(weights)}.")
        self.losses = nn.ModuleList(losses)
        declared = [set(loss.heads) for loss in losses if isinstance(loss, ImageLoss) and loss.heads is not None]
        if declared:
            self.heads = tuple(sorted(set.intersection(*declared)))
        self.weights = tuple(float(w) for w in weights)

    def value(self, logits: Float[Tensor, "b c h w"], target: Tensor) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        terms = (w * loss(logits, target) for w, loss in zip(self.weights, self.losses, strict=True))
        return functools.reduce(torch.add, terms)
