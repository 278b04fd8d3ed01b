"""Of each pair of an evaluated split the pair of another split that is most like it."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spt.data.leaks.turned import symmetric
from spt.data.pairs import Pairs
from spt.data.readers import evenly
from spt.data.similarity import Copies, copies, distances, joined, spread

ALIKE = 0.05
"""Objects that are closer than this are alike."""

SAMPLE = 256
"""Pairs that say how far two images of a set are apart on average."""


@dataclass(frozen=True)
class Scale:
    """How far two images of a set are apart on average: 1 less their correlation."""

    speckle: float
    target: float

    @classmethod
    def of(cls, pairs: Pairs) -> "Scale":
        """Measure it on pairs that are spread over the set."""
        sample = joined(list(copies(pairs, evenly(len(pairs), SAMPLE))))
        return cls(spread(sample.speckle), spread(sample.target))


class Nearest:
    """The nearest of the pairs that were compared so far, of each of ``count`` pairs: its distance and its row."""

    def __init__(self, count: int) -> None:
        self.distance, self.row = torch.full((count,), torch.inf), torch.zeros(count, dtype=torch.long)

    def update(self, distance: Float[Tensor, "a b"], rows: Int[Tensor, " b"]) -> None:
        """Compare with more pairs; of equal ones the first stays."""
        least, place = distance.min(1)
        closer = least < self.distance
        self.distance[closer], self.row[closer] = least[closer], rows[place[closer]]


class Neighbours:
    """The nearest pairs of another split, of each of some pairs.

    Args:
        count: number of the pairs.
    """

    def __init__(self, count: int) -> None:
        self.speckle, self.target = Nearest(count), Nearest(count)
        self.exposure = Nearest(count)
        """By the speckle, among the pairs whose objects are alike."""
        self.turned = Nearest(count)
        """By what of the speckle stays the same when it is turned or mirrored."""

    @classmethod
    def of(
        cls, small: Copies, others: Iterable[Copies], scale: Scale, allowed: Bool[Tensor, "a m"] | None = None
    ) -> "Neighbours":
        """Find them, with distances in units of ``scale``.

        Args:
            small: copies of the pairs.
            others: copies of the other split, some at a time.
            scale: unit of the distances.
            allowed: which pairs of the other split may count as an exposure of which pair; None allows all.
        """
        found, whatever_turned = cls(len(small.rows)), symmetric(small.speckle)
        for part in others:
            apart = distances(small.target, part.target, scale.target)
            found.target.update(apart, part.rows)
            alike = apart < ALIKE if allowed is None else (apart < ALIKE) & allowed[:, part.rows]
            apart = distances(small.speckle, part.speckle, scale.speckle)
            found.speckle.update(apart, part.rows)
            found.exposure.update(torch.where(alike, apart, torch.inf), part.rows)
            found.turned.update(distances(whatever_turned, symmetric(part.speckle), scale.speckle), part.rows)
        return found
