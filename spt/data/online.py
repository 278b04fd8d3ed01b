"""Training pairs that are simulated when they are asked for: no diffuser and no noise is seen twice."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, DistributedSampler

from spt.data.pairs import Pairs, Sample
from spt.data.preparation import Preparation
from spt.data.simulated import SimulatedSpeckles


class OnlinePairs(Dataset[Sample]):
    """Prepared batches of training objects, each behind a fresh diffuser.

    Pairs are numbered over the epochs, ``epoch * pairs + pair``, and a number alone decides diffuser and noise: batch
    size, order, worker processes and an interruption change nothing. Epoch 0 is what the source's ``load`` gives.

    Args:
        source: simulates; its diffusers must not be fixed.
        train: the source's training pairs, of which the objects are shown.
        preparation: what happens to a speckle before the network.
        device: where it is simulated; batches stay there.
    """

    def __init__(self, source: SimulatedSpeckles, train: Pairs, preparation: Preparation, device: torch.device) -> None:
        self.source, self.train, self.preparation, self.device = source, train, preparation, device
        self.objects = source.draw_objects("train", 0, len(train))

    def __len__(self) -> int:
        return len(self.train)

    def __getitems__(self, numbers: list[int]) -> Sample:
        """Simulate a batch; the loader asks for whole batches, so that they are propagated at once."""
        pairs = torch.tensor([number % len(self.train) for number in numbers])
        exposed = self.source.fresh("train", numbers, self.objects[pairs], self.device)
        return {
            "speckle": self.preparation(exposed["speckle"][:, None]),
            "target": self.train.target[pairs, None].to(self.device).float() / 255,
            "index": torch.tensor(numbers),
            "diffuser": exposed["diffuser"],
        }


def whole(batch: Any) -> Any:
    """Collate what is a batch already."""
    return batch


class NumberedOverEpochs(DistributedSampler[int]):
    """Yields ``epoch * pairs + pair``: worker processes, which know of no epoch, then draw what belongs to it."""

    def __iter__(self) -> Iterator[int]:
        pairs = len(self.dataset)  # type: ignore[arg-type]  # datasets of this project have a length
        return (self.epoch * pairs + pair for pair in super().__iter__())


def check_online(source: object) -> None:
    """Refuse a source that cannot draw fresh pairs.

    Raises:
        ValueError: if it is not simulated, or its diffusers are fixed.
    """
    if not isinstance(source, SimulatedSpeckles):
        raise ValueError(
            f"data.online=true needs simulated data, for example data=simulated; this is {type(source).__name__}."
        )
    if source.train_diffusers is not None:
        raise ValueError(
            f"data.online=true draws a fresh diffuser for every pair, but data.source.train_diffusers = "
            f"{source.train_diffusers} fixes them. Set data.source.train_diffusers=null."
        )
