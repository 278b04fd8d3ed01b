"""Pairs of speckle and object, in memory: what every source of data hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from spt.data.preparation import Preparation
from spt.errors import InvalidValue


class Sample(TypedDict):
    """A batch of pairs."""

    speckle: Float[Tensor, "b 1 h w"]
    target: Float[Tensor, "b 1 h w"]
    index: Int[Tensor, " b"]
    diffuser: Int[Tensor, " b"]


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
        InvalidValue: if there are no pairs or the arrays do not belong together.
    """

    name: str
    speckle: Shaped[Tensor, "..."]
    target: Shaped[Tensor, "..."]
    diffuser: Shaped[Tensor, "..."]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.speckle) == 0:
            raise InvalidValue(
                f"split {self.name!r} holds no pairs. Check the counts and the selection in data.source."
            )
        if self.speckle.ndim != 3 or self.speckle.shape != self.target.shape:
            raise InvalidValue(
                f"split {self.name!r}: speckle and target must be (n, h, w) of one shape, got "
                f"{tuple(self.speckle.shape)} and {tuple(self.target.shape)}."
            )
        if self.diffuser.shape != self.speckle.shape[:1]:
            raise InvalidValue(f"split {self.name!r}: one diffuser number a pair is needed.")
        for name, values in self.parameters.items():
            if values.shape != self.speckle.shape[:1]:
                raise InvalidValue(f"split {self.name!r}: one value of {name!r} a pair is needed.")

    def __len__(self) -> int:
        return len(self.speckle)

    @property
    def object(self) -> Int[Tensor, " n"]:
        """Number of the object of each pair; where the source does not say, every pair shows its own."""
        return self.parameters.get("object", torch.arange(len(self)))

    def images(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "n 1 h w"]:
        """Targets in [0, 1]."""
        return images(self.target[start:stop])


def images(target: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n 1 h w"]:
    """Objects in [0, 1] with a channel axis, from uint8 in 0..255 or floats in [0, 1]."""
    return (target.float() / 255 if target.dtype == torch.uint8 else target.float())[:, None]


class PairsDataset(Dataset[Sample]):
    """Prepared batches of :class:`Pairs`, for a DataLoader; numbers may go on over the epochs."""

    def __init__(self, pairs: Pairs, preparation: Preparation) -> None:
        self.pairs, self.preparation = pairs, preparation

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, numbers: list[int]) -> Sample:
        """The pairs of ``numbers``; the loader asks for whole batches."""
        index, pairs = torch.tensor(numbers) % len(self.pairs), self.pairs
        speckle, target, diffuser = (values[index] for values in (pairs.speckle, pairs.target, pairs.diffuser))
        return prepared(self.preparation, speckle, images(target), index, diffuser)


def prepared(
    preparation: Preparation,
    speckle: Shaped[Tensor, "b h w"],
    target: Float[Tensor, "b 1 h w"],
    index: Int[Tensor, " b"],
    diffuser: Int[Tensor, " b"],
) -> Sample:
    """Prepare the speckles of a batch and refuse values that would poison a training run.

    Raises:
        InvalidValue: if a speckle or a target is not finite or a target leaves [0, 1]; the pairs are named.
    """
    batch: Sample = {"speckle": preparation(speckle[:, None]), "target": target, "index": index, "diffuser": diffuser}
    if speckle.device.type == "cpu":  # a check on a GPU would wait for it; there speckles are simulated
        _refuse_poison(batch)
    return batch


def _refuse_poison(batch: Sample) -> None:
    bad = ~batch["speckle"].isfinite().flatten(1).all(1)
    if bad.any():
        raise InvalidValue(
            f"speckle of pair(s) {batch['index'][bad].tolist()} holds NaN or infinite values after preparation "
            "(negative intensities under data.preparation.transform=sqrt give NaN too). Mend or leave out these frames."
        )
    target = batch["target"]
    bad = ~((target >= 0) & (target <= 1)).flatten(1).all(1)
    if bad.any():
        raise InvalidValue(
            f"target of pair(s) {batch['index'][bad].tolist()} holds NaN or values outside [0, 1]. "
            "Scale the objects to [0, 1] or give them as uint8."
        )


def whole(batch: Any) -> Any:
    """Return the batch unchanged: the dataset already batches."""
    return batch
