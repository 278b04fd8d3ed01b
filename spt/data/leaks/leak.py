"""A pair that is where it must not be, and how it is named."""

import os
import re
from dataclasses import dataclass, field
from typing import Literal

from spt.data.files.frames import Frames
from spt.data.pairs import Pairs

Kind = Literal["diffuser", "file", "pixels", "exposure", "turned", "number", "object"]

WORDS: dict[Kind, str] = {
    "diffuser": "has the diffuser number of",
    "file": "is read from the same file as",
    "pixels": "has the same pixels as",
    "exposure": "looks like another exposure of",
    "turned": "is a turned or mirrored copy of",
    "number": "has the object number of",
    "object": "shows the object of",
}


@dataclass(frozen=True)
class Place:
    """Where a pair stands.

    Args:
        split: name of its split.
        row: its number there.
        pairs: the pairs of the split.
    """

    split: str
    row: int
    pairs: Pairs = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.pairs.where(self.row)

    @property
    def file(self) -> str | None:
        """File of the speckle, where it lies in one."""
        speckle = self.pairs.speckle
        return speckle.name(self.row) if isinstance(speckle, Frames) else None


@dataclass(frozen=True)
class Leak:
    """A pair that repeats one of another split.

    Args:
        kind: what it repeats.
        pair: the pair of an evaluated split.
        other: the pair that it repeats, of ``train`` or of a split that chose the epoch.
    """

    kind: Kind
    pair: Place
    other: Place

    def __str__(self) -> str:
        return f"{self.pair} {WORDS[self.kind]} {self.other}"


@dataclass(frozen=True)
class Repeated:
    """A pair that shows an object which was simulated for training.

    Args:
        pair: the pair of an evaluated split.
        number: of the simulated object.
    """

    pair: Place
    number: int

    def __str__(self) -> str:
        return f"{self.pair} shows simulated object {self.number}"


def same_pixels(first: Place, second: Place) -> bool:
    """Whether the speckles of two pairs are equal."""
    one, two = (place.pairs.speckle[place.row] for place in (first, second))
    return one.shape == two.shape and bool((one == two).all())


def same_file(first: Place, second: Place) -> bool:
    """Whether the speckles of two pairs are read from one place of one file, whatever it is called."""
    one, two = first.file, second.file
    return one is not None and two is not None and _resolved(one) == _resolved(two)


def _resolved(name: str) -> str:
    """The name with symbolic links followed in the file's part of it; a key or a number may follow that."""
    for end in [len(name), *(match.start() for match in reversed(list(re.finditer(r"\W", name))))]:
        if os.path.isfile(name[:end]):
            return os.path.realpath(name[:end]) + name[end:]
    return name
