"""The order of training pairs: it follows from (seed, epoch) alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, DistributedSampler

from spt.data.pairs import Sample
from spt.data.streams import stream


class EpochOrder(DistributedSampler[int]):
    """Yields ``epoch * pairs + pair`` in a new order every epoch, the same on all ranks, each of which takes its share.

    The numbers tell worker processes, which know of no epoch, which one they load.
    """

    def __iter__(self) -> Iterator[int]:
        pairs = len(self.dataset)  # type: ignore[arg-type]  # datasets of this project have a length
        order = np.resize(stream(self.seed, "order", self.epoch).permutation(pairs), self.total_size)
        return iter((self.epoch * pairs + order[self.rank :: self.num_replicas]).tolist())


class LateLoader(DataLoader[Sample]):
    """A loader that asks for its first pairs when the first batch is needed, not when the iterator is made.

    Lightning makes an iterator before it restores the epoch of a continued run. Worker processes would then load the
    pairs of epoch 0.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # what a for loop needs
        yield from super().__iter__()
