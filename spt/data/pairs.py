"""Pairs of speckle and object: what every source of data hands over."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.utils.data import Dataset

from spt.data.bad_pixels import NEGATIVE, OUTSIDE, not_finite, outside, place
from spt.data.files.frames import Frames, Selected, digest
from spt.data.preparation import TargetPreparation
from spt.data.preparation.target import images
from spt.data.settings import describe
from spt.errors import InvalidValue


class Sample(TypedDict):
    """A batch of pairs."""

    speckle: Float[Tensor, "b c h w"]
    target: Float[Tensor, "b 1 p q"]
    index: Int[Tensor, " b"]
    diffuser: Int[Tensor, " b"]


@dataclass(frozen=True)
class Pairs:
    """The pairs of one split as they were recorded.

    Args:
        name: the split, for messages.
        speckle: intensities, any real type, (n, h, w); a tensor, or images in files.
        target: objects (n, p, q), uint8 in 0..255 or floats in [0, 1]; of any other size.
        diffuser: number of the diffuser of each pair, (n,).
        parameters: what else is known of each pair, such as its object's number or its distance, each (n,).
    Raises:
        InvalidValue: if there are no pairs or the arrays do not belong together.
    """

    name: str
    speckle: Tensor | Frames
    target: Tensor | Frames
    diffuser: Shaped[Tensor, "..."]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.speckle) == 0:
            raise InvalidValue(
                f"split {self.name!r} holds no pairs. Check the counts and the selection in data.source."
            )
        if self.speckle.ndim != 3 or self.target.ndim != 3 or len(self.speckle) != len(self.target):
            raise InvalidValue(
                f"split {self.name!r}: speckle and target must be (n, h, w) and as many, got "
                f"{tuple(self.speckle.shape)} and {tuple(self.target.shape)}."
            )
        if tuple(self.diffuser.shape) != (len(self.speckle),):
            raise InvalidValue(f"split {self.name!r}: one diffuser number a pair is needed.")
        for name, values in self.parameters.items():
            if tuple(values.shape) != (len(self.speckle),):
                raise InvalidValue(f"split {self.name!r}: one value of {name!r} a pair is needed.")

    def __len__(self) -> int:
        return len(self.speckle)

    @property
    def object(self) -> Int[Tensor, " n"]:
        """Number of the object of each pair; where the source does not say, every pair shows its own."""
        return self.parameters.get("object", torch.arange(len(self)))

    @property
    def identity(self) -> str:
        """A hash of the numbers of objects and diffusers, in the order of the pairs."""
        numbers = torch.stack([self.object.double(), self.diffuser.double()])
        return hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:16]

    def images(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "n 1 h w"]:
        """Targets in [0, 1]."""
        return images(self.target[start:stop])

    def part(self, rows: Sequence[int]) -> "Pairs":
        """Some of the pairs, without a copy of their images."""
        rows = list(rows)
        parameters = {name: values[rows] for name, values in self.parameters.items()}
        speckle, target = (Selected(images, rows) for images in (self.speckle, self.target))
        return Pairs(self.name, speckle, target, self.diffuser[rows], parameters)

    def where(self, row: int) -> str:
        """What messages call a pair: its place, and the file of its speckle where there is one."""
        return place(self.name, row, self.speckle)


class PreparedTargets(Frames):
    """Objects after their preparation, made when they are asked for."""

    def __init__(self, objects: Tensor | Frames, preparation: TargetPreparation) -> None:
        self.objects, self.preparation = objects, preparation
        self.size = preparation.result((objects.shape[1], objects.shape[2]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (len(self.objects), *self.size)

    @property
    def dtype(self) -> torch.dtype:
        """Grey values in [0, 1]."""
        return torch.float32

    def read(self, rows: Sequence[int]) -> Float[Tensor, "b h w"]:
        """Prepare some objects."""
        return self.preparation(images(self.objects[list(rows)])[:, 0])

    def name(self, row: int) -> str:
        """File of an object."""
        return self.objects.name(row) if isinstance(self.objects, Frames) else f"object {row}"

    def fingerprint(self) -> str:
        """The objects and what happens to them."""
        objects = self.objects.fingerprint() if isinstance(self.objects, Frames) else describe(self.objects)
        return digest("prepared", objects, describe(self.preparation))


def with_targets(pairs: Pairs, preparation: TargetPreparation) -> Pairs:
    """The same pairs with prepared objects: in memory where they are there already, else when they are read."""
    if not preparation.changes:
        return pairs
    target: Tensor | Frames = PreparedTargets(pairs.target, preparation)
    if isinstance(pairs.target, Tensor):
        target = target[:]
    return replace(pairs, target=target)


class PairsDataset(Dataset[Sample]):
    """Prepared batches of :class:`Pairs`, for a DataLoader; numbers may go on over the epochs."""

    def __init__(self, pairs: Pairs, preparation: nn.Module) -> None:
        self.pairs, self.preparation = pairs, preparation

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, numbers: list[int]) -> Sample:
        """The pairs of ``numbers``; the loader asks for whole batches."""
        index, pairs = torch.tensor(numbers) % len(self.pairs), self.pairs
        speckle, target, diffuser = (values[index] for values in (pairs.speckle, pairs.target, pairs.diffuser))
        return prepared(self.preparation, speckle, images(target), index, diffuser, pairs.where)


def prepared(
    preparation: nn.Module,
    speckle: Shaped[Tensor, "b rows columns"],
    target: Float[Tensor, "b 1 p q"],
    index: Int[Tensor, " b"],
    diffuser: Int[Tensor, " b"],
    where: Callable[[int], str],
) -> Sample:
    """Prepare the speckles of a batch and refuse values that would poison a training run.

    Args:
        preparation: of the speckles.
        speckle: frames as they were recorded.
        target: objects, prepared already.
        index: number of each pair.
        diffuser: number of its diffuser.
        where: what messages call a pair.
    Raises:
        InvalidValue: if a speckle or a target is not finite or a target leaves [0, 1]; the pairs are named.
    """
    with torch.no_grad():
        frames = preparation(speckle[:, None])
    batch: Sample = {"speckle": frames, "target": target, "index": index, "diffuser": diffuser}
    if speckle.device.type == "cpu":  # a check on a GPU would wait for it; there speckles are simulated
        _refuse_poison(batch, where)
    return batch


def _refuse_poison(batch: Sample, where: Callable[[int], str]) -> None:
    def named(bad: Tensor) -> str:
        return ", ".join(where(number) for number in batch["index"][bad].tolist())

    bad = not_finite(batch["speckle"])
    if bad.any():
        raise InvalidValue(
            f"the speckle of {named(bad)} holds NaN or infinite values after preparation (negative intensities under "
            f"data.preparation.transform=sqrt give NaN too). Mend or leave out these frames; {NEGATIVE}"
        )
    bad = outside(batch["target"])
    if bad.any():
        raise InvalidValue(f"the target of {named(bad)} {OUTSIDE}. Scale the objects to [0, 1] or give them as uint8.")


def whole(batch: Any) -> Any:
    """Return the batch unchanged: the dataset already batches."""
    return batch


__all__ = ["Pairs", "PairsDataset", "PreparedTargets", "Sample", "images", "prepared", "whole", "with_targets"]
