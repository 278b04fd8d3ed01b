"""Accumulate per-image metrics over a split, exactly, on any number of processes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from spt.metrics.image import METRICS, per_image


class PerImageMetrics(Metric):
    """Collects every metric of every image together with the image's index.

    A distributed sampler repeats images so that every process has as many; an image counts once all the same,
    because repeated indices are dropped. The value is the mean over images, never a pooled sum.
    """

    full_state_update = False
    higher_is_better = True
    values: list[Tensor]
    index: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", default=[], dist_reduce_fx="cat")
        self.add_state("index", default=[], dist_reduce_fx="cat")

    def update(
        self, pred: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], index: Int[Tensor, " b"]
    ) -> None:
        """Add a batch of images in [0, 1]."""
        self.values.append(torch.stack(list(per_image(pred, target).values()), dim=1))
        self.index.append(index)

    def compute(self) -> dict[str, Tensor]:
        """Mean over images of every metric."""
        values, index = dim_zero_cat(self.values), dim_zero_cat(self.index)
        order = index.argsort(stable=True)
        sorted_index = index[order]
        first = torch.ones_like(sorted_index, dtype=torch.bool)
        first[1:] = sorted_index[1:] != sorted_index[:-1]
        means = values[order][first].double().mean(0)
        return dict(zip(METRICS, means.float(), strict=True))
