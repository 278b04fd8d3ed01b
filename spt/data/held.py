"""Prepared pairs of a split, made once and held where the network is trained."""

from collections.abc import Iterable
from math import prod
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spt.data.cache.cached import InMemory
from spt.data.cache.free_memory import free_memory
from spt.data.pairs import Pairs, PairsDataset, Sample
from spt.data.preparation.base import PIECE

SHARE = 0.25
"""Share of the free memory of the device that the prepared pairs of all splits take at most."""


class HeldPairs(Dataset[Sample]):
    """Batches of pairs that are all prepared, and checked, when the first batch is asked for.

    Args:
        dataset: prepares them.
        device: where they are held; batches are there too.
    """

    def __init__(self, dataset: PairsDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self._whole: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, numbers: list[int]) -> Sample:
        """The pairs of ``numbers``, which may go on over the epochs."""
        if not self._whole:
            self._whole = self._prepared()
        index = torch.tensor(numbers, device=self.device) % len(self)
        return cast(Sample, {name: values.index_select(0, index) for name, values in self._whole.items()})

    def _prepared(self) -> dict[str, Tensor]:
        whole: dict[str, Tensor] = {}
        for rows in torch.arange(len(self)).split(PIECE):
            for name, values in self.dataset.__getitems__(rows.tolist()).items():
                assert isinstance(values, Tensor)
                if name not in whole:
                    shape = (len(self), *values.shape[1:])
                    whole[name] = torch.empty(shape, dtype=values.dtype, device=self.device)
                whole[name][rows[0] : rows[-1] + 1] = values
        return whole


def can_be_held(splits: Iterable[Pairs], input_shape: tuple[int, ...], device: torch.device, processes: int) -> bool:
    """Whether pairs are in memory, and may be held a second time, prepared.

    Args:
        splits: the pairs that are loaded during a training.
        input_shape: channels, height and width of the network's input.
        device: where they would be held.
        processes: which do the same; those on one machine's processor share its memory.
    """
    known = list(splits)
    if not all(isinstance(images, Tensor | InMemory) for each in known for images in (each.speckle, each.target)):
        return False
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory() / processes
    return sum(len(each) * 4 * (prod(input_shape) + prod(each.target.shape[1:])) for each in known) <= SHARE * free
