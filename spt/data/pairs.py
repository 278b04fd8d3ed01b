"""Pairs of speckle and object, in memory: what every source of data hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from spt.data.preparation import Preparation


class Sample(TypedDict):
    """One pair, or a batch of them with a leading axis b."""

    speckle: Float[Tensor, "1 h w"]
    target: Float[Tensor, "1 h w"]
    index: Int[Tensor, ""]
    diffuser: Int[Tensor, ""]


@dataclass(frozen=True)
class Pairs:
    """The pairs of one split as they were recorded.

    Args:
        name: the split, for messages.
        speckle: intensities, any real type, (n, h, w).
        target: objects (n, h, w), uint8 in 0..255 or floats in [0, 1].
        diffuser: number of the diffuser of each pair, (n,).
        parameters: what else is known of each pair, such as its object's number or its distance, each (n,).
    Raises:
        ValueError: if there are no pairs or the arrays do not belong together.
    """

    name: str
    speckle: Tensor
    target: Tensor
    diffuser: Int[Tensor, " n"]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.speckle) == 0:
            raise ValueError(f"split {self.name!r} holds no pairs. Check the counts and the selection in data.source.")
        if self.speckle.ndim != 3 or self.speckle.shape != self.target.shape:
            raise ValueError(
                f"split {self.name!r}: speckle and target must be (n, h, w) of one shape, got "
                f"{tuple(self.speckle.shape)} and {tuple(self.target.shape)}."
            )
        if self.diffuser.shape != self.speckle.shape[:1]:
            raise ValueError(f"split {self.name!r}: one diffuser number a pair is needed.")
        for name, values in self.parameters.items():
            if values.shape != self.speckle.shape[:1]:
                raise ValueError(f"split {self.name!r}: one value of {name!r} a pair is needed.")

    def __len__(self) -> int:
        return len(self.speckle)

    def images(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "n 1 h w"]:
        """Targets in [0, 1]."""
        target = self.target[start:stop]
        return (target.float() / 255 if target.dtype == torch.uint8 else target.float())[:, None]


class PairsDataset(Dataset[Sample]):
    """Prepared samples of :class:`Pairs`, for a DataLoader."""

    def __init__(self, pairs: Pairs, preparation: Preparation) -> None:
        self.pairs, self.preparation = pairs, preparation

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        return {
            "speckle": self.preparation(self.pairs.speckle[index][None]),
            "target": self.pairs.images(index, index + 1)[0],
            "index": torch.tensor(index),
            "diffuser": self.pairs.diffuser[index],
        }


def collate(samples: list[Sample]) -> Sample:
    """Stack samples and refuse values that would poison a training run.

    Raises:
        ValueError: if a speckle or a target is not finite or a target leaves [0, 1]; the samples are named.
    """
    batch: Sample = torch.utils.data.default_collate(samples)
    bad = ~batch["speckle"].isfinite().flatten(1).all(1)
    if bad.any():
        raise ValueError(
            f"speckle of sample(s) {batch['index'][bad].tolist()} holds NaN or infinite values after preparation "
            "(negative intensities under data.preparation.transform=sqrt give NaN too). Mend or leave out these frames."
        )
    target = batch["target"]
    bad = ~((target >= 0) & (target <= 1)).flatten(1).all(1)
    if bad.any():
        raise ValueError(
            f"target of sample(s) {batch['index'][bad].tolist()} holds NaN or values outside [0, 1]. "
            "Scale the objects to [0, 1] or give them as uint8."
        )
    return batch
