"""Accumulate something of every image of a split, exactly, on any number of processes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class IndexedMetric(Metric):
    """Collects a row for every image together with the image's index.

    A distributed sampler repeats images so that every process has the same number. Repeated indices are dropped, so
    that every image counts once.
    """

    full_state_update = False
    rows: list[Tensor]
    index: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", default=[], dist_reduce_fx="cat")
        self.add_state("index", default=[], dist_reduce_fx="cat")

    def add(self, rows: Float[Tensor, "b ..."], index: Int[Tensor, " b"]) -> None:
        """Add the rows of a batch."""
        self.rows.append(rows)
        self.index.append(index.to(rows.device))

    def once(self) -> Float[Tensor, "n ..."]:
        """The row of every image, once, in the order of the indices."""
        rows, index = dim_zero_cat(self.rows), dim_zero_cat(self.index)
        order = index.argsort(stable=True)
        sorted_index = index[order]
        first = torch.ones_like(sorted_index, dtype=torch.bool)
        first[1:] = sorted_index[1:] != sorted_index[:-1]
        return rows[order][first]
