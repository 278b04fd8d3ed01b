"""From a table of pairs to splits that share no object."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path
from typing import Literal, TypeVar

from spt.data.recorded.parts import NAMES, Part, as_said, by_rules
from spt.data.recorded.table import PairRow, Table
from spt.errors import InvalidValue

T = TypeVar("T")

VERBATIM = ("val_class", "val_unseen", "test_unseen")
"""Splits that a table may name and that are taken as they are."""


@dataclass(frozen=True)
class Split:
    """How the objects are divided, and what stays out of training.

    Every object belongs to one part: training, validation or test. Where the table says which (by folders, names of
    arrays, or a column), it decides; where it names no validation part, this is cut from the training objects.

    A part is a share (0.1), a count (50), ranges of object numbers, both ends included (``1-50`` or
    ``0-199,300-399``), or a file of object numbers (``val.npy``, ``x.mat:index``).

    Args:
        validation: the part that chooses the epoch.
        test: the part that is evaluated once, at the end; 0 leaves it out.
        mode: which objects a share or a count takes. ``sequence``: the last ones, validation before test.
            ``blocks``: the last ones of each of ten stretches of the sequence. ``shuffled``: any, always the same ones.
        unseen_diffusers: diffusers that do not train, by number or name.
        unseen_distances: distances that do not train [m].
        unseen_classes: classes of objects that do not train; behind trained diffusers they are ``val_class``.
        unseen: ``diffuser`` or ``distance`` leaves one of them out in turn, the one that ``fold`` counts.
        fold: which one, from 0.
    Raises:
        InvalidValue: if a value is out of range.
    """

    validation: Part = 0.1
    test: Part = 0
    mode: Literal["sequence", "shuffled", "blocks"] = "sequence"
    unseen_diffusers: Sequence[int | str] = ()
    unseen_distances: Sequence[float] = ()
    unseen_classes: Sequence[str | int] = ()
    unseen: Literal["diffuser", "distance"] | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, bool) or (isinstance(value, int | float) and not _is_part(value)):
                raise InvalidValue(
                    f"data.source.split.{name} must be a share below 1, a count, ranges such as 1-50, or a file, got "
                    f"{value}."
                )
        if self.mode not in ("sequence", "shuffled", "blocks"):
            raise InvalidValue(f"data.source.split.mode must be sequence, shuffled or blocks, got {self.mode!r}.")
        if self.unseen not in (None, "diffuser", "distance"):
            raise InvalidValue(f"data.source.split.unseen must be diffuser, distance or null, got {self.unseen!r}.")
        if self.fold > 0 and self.unseen is None:
            raise InvalidValue(
                f"data.source.split.fold={self.fold} needs data.source.split.unseen=diffuser or distance: what is left "
                "out in turn."
            )
        if self.fold < 0:
            raise InvalidValue(f"data.source.split.fold must be 0 or more, got {self.fold}.")

    def __call__(self, table: Table, root: Path = Path()) -> list[str | None]:
        """Split of each pair, one of :data:`NAMES`; None for a pair that is left out.

        A pair of an unseen diffuser whose object trains is left out, so that no split but ``train`` shows it. Objects
        that unseen diffusers alone show do not train; they are ``test_unseen``.

        Args:
            table: the pairs.
            root: where relative paths of files of numbers begin.
        Raises:
            InvalidValue: if the table contradicts itself, or nothing is left to train or to validate with.
        """
        away, classes = self._away(table), _texts(self.unseen_classes)
        labels = {str(row.label) for row in table.rows if row.label is not None}
        if classes - labels:
            there, unknown = (sorted(map(str, names)) for names in (labels, classes - labels))
            raise InvalidValue(
                f"data.source.split.unseen_classes names {unknown}, but the classes of these pairs are "
                f"{', '.join(there) or 'not known'}."
            )
        parts = self._parts(table, away, root)
        inside = [row for row, out in zip(table.rows, away, strict=True) if not out]
        trained = {row.diffuser for row in inside if row.label not in classes and parts[row.object] == "train"}
        shown = {row.object for row in inside}
        tested = any(parts[number] == "test" for number in shown)
        splits: list[str | None] = []
        for row, out in zip(table.rows, away, strict=True):
            part = parts[row.object] if row.object in shown or parts[row.object] == "val" else "test"
            seen = row.diffuser in trained and not out
            splits.append(_verbatim(row) or _split_of(part, seen, row.label in classes, tested or not out))
        _check(splits)
        return splits

    # What does not train --------------------------------------------------------------------------------------------

    def _away(self, table: Table) -> list[bool]:
        diffusers = self._named_diffusers(table)
        distances = self._named_distances(table)
        return [row.diffuser in diffusers or row.distance in distances for row in table.rows]

    def _named_diffusers(self, table: Table) -> set[int]:
        names = table.diffusers
        if self.unseen == "diffuser":
            return {self._left_out(sorted(names))}
        by_name = {name: number for number, name in names.items() if name}
        chosen = set()
        for wanted in self.unseen_diffusers:
            number = by_name.get(str(wanted), int(wanted) if str(wanted).lstrip("-").isdecimal() else None)
            if number not in names:
                there = ", ".join(str(n) + (f" ({name})" if name else "") for n, name in names.items())
                raise InvalidValue(
                    f"data.source.split.unseen_diffusers: there is no diffuser {wanted}. There are {there}."
                )
            chosen.add(number)
        return chosen

    def _named_distances(self, table: Table) -> set[float]:
        there = sorted({row.distance for row in table.rows if row.distance is not None})
        if self.unseen == "distance":
            return {self._left_out(there)}
        chosen = set()
        for wanted in self.unseen_distances:
            near = [distance for distance in there if isclose(distance, wanted)]
            if not near:
                raise InvalidValue(
                    f"data.source.split.unseen_distances: there is no distance {wanted:g}. There are {there} [m]."
                )
            chosen |= set(near)
        return chosen

    def _left_out(self, there: Sequence[T]) -> T:
        if len(there) < 2:
            raise InvalidValue(
                f"data.source.split.unseen={self.unseen} needs several of them, and the table names {len(there)}."
            )
        if self.fold >= len(there):
            raise InvalidValue(
                f"data.source.split.fold={self.fold}, but there are {len(there)}: 0 to {len(there) - 1} leave one out."
            )
        return there[self.fold]

    # Which object belongs to which part -----------------------------------------------------------------------------

    def _parts(self, table: Table, away: Sequence[bool], root: Path) -> dict[int, str]:
        """Part of each object: as the table says, and by the rules where it names no validation or test."""
        parts, classes = as_said(table.rows, away), _texts(self.unseen_classes)
        inside = [row for row, out in zip(table.rows, away, strict=True) if not out and not _verbatim(row)]
        named = {parts[row.object] for row in inside}
        rules = {"val": self.validation, "test": self.test}
        missing = {part: rule for part, rule in rules.items() if part not in named}
        apart = {row.object for row in table.rows if row.label in classes}
        free = dict.fromkeys(row.object for row in inside if parts[row.object] == "train" and row.object not in apart)
        return parts | by_rules(list(free), missing, self.mode, root)


def _verbatim(row: PairRow) -> str | None:
    """The split of a pair, where the table names one of :data:`VERBATIM`."""
    word = (row.split or "").strip().lower()
    return word if word in VERBATIM else None


def _split_of(part: str, seen: bool, other_class: bool, tested: bool) -> str | None:
    """Split of a pair.

    Args:
        part: of its object.
        seen: whether its diffuser trains.
        other_class: whether the class of its object does not train.
        tested: whether there are test objects, so that the others need not stand in for them.
    """
    if other_class:
        return "val_class" if seen else None
    if seen:
        return {"train": "train", "val": "val_seen", "test": "test_seen"}[part]
    if part == "train":
        return None
    return "val_unseen" if part == "val" and tested else "test_unseen"


def _check(splits: Sequence[str | None]) -> None:
    counts = Counter(splits)
    for name, remedy in (
        ("train", "Leave fewer diffusers, distances or classes out"),
        ("val_seen", "Set data.source.split.validation, for example to 0.1"),
    ):
        if not counts[name]:
            rest = ", ".join(f"{split} {counts[split]}" for split in NAMES if counts[split])
            raise InvalidValue(f"no pair is left for {name}; there are {rest or 'none'}. {remedy}.")


def _is_part(value: float) -> bool:
    """Whether a number is a share below 1 or a count."""
    return 0 <= value < 1 or (isfinite(value) and value == int(value) > 0)


def _texts(values: Sequence[str | int]) -> set[str | None]:
    return {str(value) for value in values}
