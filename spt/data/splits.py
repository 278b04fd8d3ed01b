"""From a table of pairs to splits that share no object."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Literal, TypeVar

from spt.data.index_arrays import read_numbers
from spt.data.naming import SPLIT_OF
from spt.data.streams import stream
from spt.data.table import PairRow, Table, counted
from spt.errors import InvalidValue

T = TypeVar("T")
Part = float | int | str | Sequence[str | int] | None

NAMES = ("train", "val_seen", "val_class", "val_unseen", "test_seen", "test_unseen")
"""Splits, in the order in which they are shown."""

PARTS = {**SPLIT_OF, **{name: name.partition("_")[0] for name in NAMES}}
"""Part of the set that a split's name in a table means."""

VERBATIM = ("val_class", "val_unseen", "test_unseen")
"""Splits that a table may name and that are taken as they are."""

STRETCHES = 10
"""Into how many stretches ``blocks`` cuts the sequence."""


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
            if isinstance(value, int | float) and not (0 <= value < 1 or value == int(value) > 0):
                raise InvalidValue(
                    f"data.source.split.{name} must be a share below 1, a count, ranges such as 1-50, or a file, got "
                    f"{value}."
                )
        if self.mode not in ("sequence", "shuffled", "blocks"):
            raise InvalidValue(f"data.source.split.mode must be sequence, shuffled or blocks, got {self.mode!r}.")
        if self.unseen not in (None, "diffuser", "distance"):
            raise InvalidValue(f"data.source.split.unseen must be diffuser, distance or null, got {self.unseen!r}.")
        if self.fold < 0:
            raise InvalidValue(f"data.source.split.fold must be 0 or more, got {self.fold}.")

    def __call__(self, table: Table, root: Path = Path()) -> list[str | None]:
        """Split of each pair, one of :data:`NAMES`; None for a pair that is left out.

        A pair of an unseen diffuser whose object trains is left out, so that no split but ``train`` shows it.

        Args:
            table: the pairs.
            root: where relative paths of files of numbers begin.
        Raises:
            InvalidValue: if the table contradicts itself, or nothing is left to train or to validate with.
        """
        away = self._away(table)
        parts = self._parts(table, away, root)
        apart = [row.label is not None and row.label in _texts(self.unseen_classes) for row in table.rows]
        trained = {
            row.diffuser
            for row, out in zip(table.rows, map(any, zip(away, apart, strict=True)), strict=True)
            if not out and parts[row.object] == "train"
        }
        tested = "test" in parts.values()
        splits = [
            row.split
            if row.split in VERBATIM
            else _split_of(parts[row.object], row.diffuser in trained and not out, other, tested or not out)
            for row, out, other in zip(table.rows, away, apart, strict=True)
        ]
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
            number = by_name.get(str(wanted), int(wanted) if str(wanted).lstrip("-").isdigit() else None)
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
        parts = _said(table, away)
        rules = {"val": self.validation, "test": self.test}
        missing = {part: rule for part, rule in rules.items() if part not in parts.values()}
        classes = _texts(self.unseen_classes)
        apart = {row.object for row in table.rows if row.label is not None and row.label in classes}
        free = [number for number, part in parts.items() if part == "train" and number not in apart]
        return parts | self._ruled(free, missing, root)

    def _ruled(self, objects: Sequence[int], rules: dict[str, Part], root: Path) -> dict[int, str]:
        """Part of each object by rules: first those that are listed, then counts of the others."""
        parts = dict.fromkeys(objects, "train")
        for part, rule in rules.items():
            for number in _listed(part, rule, objects, root):
                if parts[number] != "train":
                    raise InvalidValue(
                        f"data.source.split: object {number} is in validation and in test. An object belongs to one."
                    )
                parts[number] = part
        counts = {part: _number(rule, len(objects)) for part, rule in rules.items()}
        left = [number for number in objects if parts[number] == "train"]
        if objects and sum(counts.values()) >= len(left):
            raise InvalidValue(
                f"data.source.split: validation={self.validation} and test={self.test} leave none of "
                f"{counted(len(objects), 'object')} to train on."
            )
        return parts | dict(self._taken(left, counts))

    def _taken(self, objects: Sequence[int], counts: dict[str, int]) -> Iterator[tuple[int, str]]:
        """Each object with its part: training, validation, test in sequence, once or in every stretch."""
        order = list(objects)
        if self.mode == "shuffled":
            order = [order[k] for k in stream(0, "order", 0).permutation(len(order))]
        pieces = min([STRETCHES, *(count for count in counts.values() if count)]) if self.mode == "blocks" else 1
        counts = {"train": len(order) - sum(counts.values()), **counts}
        words = [
            part
            for piece in range(pieces)
            for part, count in counts.items()
            for _ in range(count * piece // pieces, count * (piece + 1) // pieces)
        ]
        return zip(order, words, strict=True)


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


def _number(rule: Part, objects: int) -> int:
    """How many objects a share or a count takes: of a share at least one."""
    if not isinstance(rule, int | float) or not rule:
        return 0
    return max(1, round(rule * objects)) if rule < 1 else int(rule)


def _listed(part: str, rule: Part, objects: Sequence[int], root: Path) -> list[int]:
    """Objects that ranges or a file name."""
    if rule is None or isinstance(rule, int | float):
        return []
    setting = f"data.source.split.{'validation' if part == 'val' else part}"
    there, chosen = set(objects), []
    for text in rule.split(",") if isinstance(rule, str) else map(str, rule):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", text)
        wanted = range(int(ends[1]), int(ends[2] or ends[1]) + 1) if ends else read_numbers(text, setting, root)
        found = [number for number in wanted if number in there]
        if not found:
            raise InvalidValue(
                f"{setting}: no object has a number of {text}. The objects are numbered {min(there)} to {max(there)}."
            )
        chosen += found
    return list(dict.fromkeys(chosen))


def _check(splits: Sequence[str | None]) -> None:
    counts = Counter(splits)
    for name, remedy in (
        ("train", "Leave fewer diffusers, distances or classes out"),
        ("val_seen", "Set data.source.split.validation, for example to 0.1"),
    ):
        if not counts[name]:
            rest = ", ".join(f"{split} {counts[split]}" for split in NAMES if counts[split])
            raise InvalidValue(f"no pair is left for {name}; there are {rest or 'none'}. {remedy}.")


def _texts(values: Sequence[str | int]) -> set[str]:
    return {str(value) for value in values}


def _said(table: Table, away: Sequence[bool]) -> dict[int, str]:
    """Part of each object as the table says; training where it says nothing of any pair.

    Where a diffuser does not train, its pairs decide only on objects that no other diffuser shows.
    """
    said: dict[int, dict[str | None, PairRow]] = {row.object: {} for row in table.rows}
    for row in (row for row, out in zip(table.rows, away, strict=True) if not out):
        said[row.object].setdefault(_word(row), row)
    for row in (row for row, out in zip(table.rows, away, strict=True) if out):
        if not said[row.object]:
            said[row.object][_word(row)] = row
    for number, parts in said.items():
        if len(parts) > 1:
            first, second = list(parts.values())[:2]
            raise InvalidValue(
                f"object {number} is in two splits: {first.speckle} ({first.split}) and {second.speckle} "
                f"({second.split}). All pairs of an object belong to one."
            )
    found = {number: next(iter(parts)) for number, parts in said.items()}
    silent = [number for number, part in found.items() if part is None]
    if 0 < len(silent) < len(found):
        row = next(iter(said[silent[0]].values()))
        raise InvalidValue(
            f"{row.speckle} and the pairs of {counted(len(silent) - 1, 'more object')} have no split, but others have "
            "one. Name it for all pairs, or for none."
        )
    return {number: part or "train" for number, part in found.items()}


def _word(row: PairRow) -> str | None:
    """The part that the table's word for a split means."""
    if row.split is None:
        return None
    word = row.split.strip().lower()
    if word not in PARTS:
        raise InvalidValue(
            f"{row.speckle}: unknown split {row.split!r}. Known are train, val and test, and {', '.join(NAMES)}."
        )
    return PARTS[word]
