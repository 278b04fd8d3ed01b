"""Files that belong to no pair: one error for a training, all of them for a check of the files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spt.data.recorded.numbering import FilePair
from spt.data.recorded.table import Image
from spt.errors import InvalidValue

Side = Literal["speckle", "target"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that belongs to no pair.

    Args:
        side: what it should be.
        image: the file, or the image in it.
        problem: what is wrong.
    """

    side: Side
    image: Image
    problem: str


class Unpaired(InvalidValue):
    """Some files belong to no pair.

    Args:
        message: names the first of them, and says what to do.
        faults: all of them.
        pairs: the pairs of the other files.
        notes: sentences for the log on these pairs.
    """

    def __init__(
        self, message: str, faults: Sequence[Fault], pairs: Sequence[FilePair], notes: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.faults, self.pairs, self.notes = faults, pairs, notes
