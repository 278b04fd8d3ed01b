"""The order of training pairs: it follows from (seed, epoch) alone."""

import ctypes
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from spt.data.pairs import Sample, whole
from spt.data.streams import stream
from spt.errors import UserError


class EpochOrder(DistributedSampler[int]):
    """Yields ``epoch * pairs + pair`` in a new order every epoch, the same on all ranks, each of which takes its share.

    The numbers tell worker processes, which know of no epoch, which one they load.
    """

    def __iter__(self) -> Iterator[int]:
        pairs = len(self.dataset)  # type: ignore[arg-type]  # datasets of this project have a length
        order = np.resize(stream(self.seed, "order", self.epoch).permutation(pairs), self.total_size)
        return iter((self.epoch * pairs + order[self.rank :: self.num_replicas]).tolist())


class Handed(Dataset[Sample | UserError]):
    """Batches for a worker process: what a user can mend is handed over, not raised.

    A DataLoader would put the traceback of the worker into the message.
    """

    def __init__(self, dataset: Dataset[Sample]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # datasets of this project have a length

    def __getitems__(self, numbers: list[int]) -> Sample | UserError:
        """A batch, or the error that tells why there is none."""
        try:
            return self.dataset.__getitems__(numbers)  # type: ignore[attr-defined]  # they give whole batches
        except UserError as error:
            return error


M_MMAP_THRESHOLD = -3
"""An option of glibc (malloc.h): an array of so many bytes or more has memory pages of its own."""


def give_memory_back(worker: int) -> None:
    """Let this worker process give large arrays back to the system as soon as they are not needed.

    By default, glibc keeps their memory for later arrays. These rarely fit, so that a worker grows with every batch.

    Args:
        worker: its number.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none
            libc.mallopt(M_MMAP_THRESHOLD, 2**20)


class LateLoader(DataLoader[Sample]):
    """A loader that asks for its first pairs when the first batch is needed, not when the iterator is made.

    Lightning makes an iterator before it restores the epoch of a continued run. Worker processes would then load the
    pairs of epoch 0.

    Raises:
        UserError: while it is iterated: what a worker process found, in its own words.
    """

    def __init__(self, dataset: Dataset[Sample], **settings: Any) -> None:
        handed: Any = Handed(dataset) if settings.get("num_workers") else dataset
        start = give_memory_back if settings.get("num_workers") else None
        super().__init__(handed, collate_fn=whole, worker_init_fn=start, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # what a for loop needs
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch
