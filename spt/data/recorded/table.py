"""A table of pairs: which speckle belongs to which object, and what else is known of the pair."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Image:
    """One image in a file, or the whole file.

    Args:
        path: the file.
        key: name of the array in the file; None where the file has one array only, or is a picture.
        row: number of the image in the file, from 0; None means the whole file, or the only image of it.
    """

    path: Path
    key: str | None = None
    row: int | None = None

    @property
    def file(self) -> str:
        """The file and its array, as a setting names them."""
        return str(self.path) if self.key is None else f"{self.path}:{self.key}"

    def __str__(self) -> str:
        return self.file if self.row is None else f"{self.file}, image {self.row}"


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair.

    Args:
        speckle: what the camera recorded.
        target: what stood behind the diffuser.
        diffuser: number of the diffuser.
        diffuser_name: what its folder or the manifest calls it; empty where nothing is said.
        distance: distance of the camera [m].
        object: number of the object. Pairs of equal number show the same object.
        label: class of the object.
        split: split, as the folder, the array or the manifest calls it.
    """

    speckle: Image
    target: Image
    diffuser: int = 1
    diffuser_name: str = ""
    distance: float | None = None
    object: int = 0
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Table:
    """Pairs in a fixed order.

    Args:
        rows: the pairs.
        notes: sentences for the log: how the pairs were found, and what was left out.
    """

    rows: Sequence[PairRow]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def diffusers(self) -> dict[int, str]:
        """Name of each diffuser, by number."""
        return dict(sorted({(row.diffuser, row.diffuser_name) for row in self.rows}))


def found(
    table: Table, speckle: tuple[int, ...], target: tuple[int, ...], depth: str, splits: Sequence[str | None]
) -> str:
    """Say in a few lines what was found.

    Args:
        table: the pairs.
        speckle: height and width of the speckles [px].
        target: height and width of the objects [px].
        depth: what the pixels of the speckles are, such as ``uint16``.
        splits: split of each pair; None for one that is left out.
    """
    objects = len({row.object for row in table.rows})
    counts = Counter(split for split in splits if split is not None)
    lines = [
        f"Found {counted(len(table), 'pair')} of {counted(objects, 'object')}: speckles of {speckle[0]}x{speckle[1]} "
        f"px ({depth}), objects of {target[0]}x{target[1]} px.",
        f"First pair: {table.rows[0].speckle} with {table.rows[0].target}.",
        "Splits: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + ".",
    ]
    if len(table.diffusers) > 1:
        trained = {row.diffuser for row, split in zip(table.rows, splits, strict=True) if split == "train"}
        lines.insert(2, f"Diffusers: {_listed(table, trained)}.")
    left_out = sum(split is None for split in splits)
    if left_out:
        lines.append(
            f"Left out: {counted(left_out, 'pair')} of an unseen diffuser, distance or class, whose objects train."
        )
    return "\n".join([*lines, *table.notes])


def counted(number: int, thing: str) -> str:
    """A number and what it counts: ``1 pair``, ``2,000 pairs``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _listed(table: Table, trained: Collection[int], most: int = 12) -> str:
    pairs = Counter(row.diffuser for row in table.rows)
    names = [
        f"{number}"
        + (f" ({name})" if name and name != str(number) else "")
        + f": {counted(pairs[number], 'pair')}"
        + ("" if number in trained else ", not in training")
        for number, name in table.diffusers.items()
    ]
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
