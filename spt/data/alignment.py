"""Do the speckles of a set belong to its objects? Like objects give like speckles behind one diffuser."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation.target import images
from spt.data.readers import evenly
from spt.data.similarity import thumbnails, unit
from spt.optics.precision import full_precision

FEWEST = 20
"""With fewer pairs behind one diffuser nothing can be told."""

SIDE = 64
"""Side of the copies that are compared [px]: enough for the grains of most speckles."""

LEAST = 0.1
"""Correlations below this show nothing: neighbouring pairs may be alike for another reason, such as a drift."""

SHUFFLES = 20
"""Random orders that say which correlation chance gives."""

ROUNDING = 1e-6
"""Share of an image that rounding may leave when an equal one is subtracted."""

NEARLY_EQUAL = 0.01
"""Objects that differ less than this from their mean image, relative to its contrast, are all one."""


@dataclass(frozen=True)
class Alignment:
    """How well the order of the speckles fits that of the objects.

    Args:
        shifts: correlation of the two similarities, by how many pairs the objects are moved: 0 as they are, 1 where
            speckle k is put to object k + 1.
        chance: correlations below this show nothing; random orders have them too.
        pairs: number of pairs that were compared.
        diffuser: all of them are behind this one.
    """

    shifts: Mapping[int, float]
    chance: float
    pairs: int
    diffuser: int

    @property
    def best(self) -> int:
        """The shift that fits best."""
        return max(self.shifts, key=lambda shift: (self.shifts[shift], -abs(shift)))

    @property
    def verdict(self) -> Literal["right", "shifted", "unclear"]:
        """Whether the order is right, would be right after a shift, or fits nowhere."""
        given, best = self.shifts[0], self.shifts[self.best]
        if best <= self.chance:
            return "unclear"
        return "shifted" if best - given > self.chance else "right"

    def __str__(self) -> str:
        given, best = self.shifts[0], self.shifts[self.best]
        of = f"({self.pairs} pairs behind diffuser {self.diffuser}; chance stays below {self.chance:.2f})"
        if self.verdict == "right":
            return f"Speckles and objects are in the same order: like objects have like speckles, r = {given:.2f} {of}."
        if self.verdict == "shifted":
            return (
                f"Speckles and objects are shifted against each other: r = {given:.2f} as they are, but {best:.2f} "
                f"when speckle k is put to object k{self.best:+d} {of}. Check the first and the last file of both."
            )
        return (
            f"Nothing shows that speckle k belongs to object k: r = {given:.2f} as they are, and {best:.2f} at best "
            f"{of}. Check the order of the files; a medium whose speckles are never alike gives the same."
        )


def alignment(pairs: Pairs, most: int = 400, furthest: int = 3) -> Alignment | None:
    """Compare the order of speckles and objects.

    The similarity of every two speckles is correlated with that of the two objects, once with the objects as they are
    and once with them moved by a few pairs. What all images share is subtracted first: it tells nothing. The
    correlation depends on the set. Measured: .96 on ``real_220grit`` (400 pairs), .81 on ``one_diffuser`` (400), .67
    on ``like_220grit`` (64), .66 on ``grit`` (128), .65 on ``incoherent`` (400), .59 on ``fibre`` (35); .07 or less
    after a shift or in a random order.

    Args:
        pairs: some split; the first pairs behind the diffuser that most of them are behind are compared.
        most: pairs to compare.
        furthest: greatest shift that is tried, in both directions.
    Returns:
        The correlations; None where too few pairs are behind one diffuser, or all speckles or all objects are one.
    """
    numbers, counts = pairs.diffuser.unique(return_counts=True)
    diffuser = numbers[counts.argmax()]
    rows = (pairs.diffuser == diffuser).nonzero()[:most, 0].tolist()
    if len(rows) < FEWEST + furthest:
        return None
    speckle, target = (_similarity(part[rows]) for part in (pairs.speckle, pairs.target))
    if not (speckle.any() and target.any()):
        return None
    shifts = {shift: _agreement(speckle, target, shift) for shift in range(-furthest, furthest + 1)}
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(rows), generator=generator) for _ in range(SHUFFLES)]
    by_chance = torch.tensor([_agreement(speckle, target[order][:, order]) for order in orders])
    chance = max(LEAST, 5 * by_chance.square().mean().sqrt().item())
    return Alignment(shifts, chance, len(rows), int(diffuser))


def _similarity(frames: Tensor) -> Float[Tensor, "n n"]:
    """Correlation of every two images, after what all of them share was subtracted; zeros where that leaves nothing."""
    small = thumbnails(frames, SIDE)
    different = small - small.mean(0)
    if different.square().sum(1).mean() < ROUNDING:
        return torch.zeros(len(small), len(small))
    different = unit(different)
    with full_precision():
        return different @ different.T


def _agreement(speckle: Float[Tensor, "n n"], target: Float[Tensor, "n n"], shift: int = 0) -> float:
    """Correlation of two similarities over all pairs of rows, speckle k with object k + ``shift``."""
    count = len(speckle) - abs(shift)
    first, second = max(0, -shift), max(0, shift)
    upper = torch.triu_indices(count, count, 1)
    both = torch.stack([values[start:, start:][*upper] for values, start in ((speckle, first), (target, second))])
    return torch.corrcoef(both)[0, 1].nan_to_num(0).item()


def unpredictable(pairs: Pairs, most: int = 256) -> str | None:
    """Say so where the objects are all equal or nearly so: then no network can be better than their mean image.

    Args:
        pairs: some split.
        most: objects to look at, spread over the split.
    Returns:
        What is wrong, or None.
    """
    shown = images(pairs.target[evenly(len(pairs), most)]).flatten(1).double()
    mean = shown.mean(0)
    apart, contrast = (shown - mean).square().mean().sqrt().item(), mean.std(unbiased=False).item()
    if apart == 0:
        return f"split {pairs.name!r}: all objects are equal, nothing can be learnt. Check the files of the objects."
    if apart < NEARLY_EQUAL * contrast:
        return (
            f"split {pairs.name!r}: the objects differ from their mean image by only {100 * apart / contrast:.2g} % of "
            "its contrast, so no network can be better than that image. Check the files of the objects."
        )
    return None
