"""Which object belongs to training, which to validation, which to test."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from spt.data.recorded.index_arrays import read_numbers
from spt.data.recorded.naming import SPLIT_OF
from spt.data.recorded.table import PairRow, counted
from spt.data.streams import stream
from spt.errors import InvalidValue

Part: TypeAlias = float | int | str | Sequence[str | int] | None
"""A share, a count, ranges, or a file of numbers: see :class:`spt.data.recorded.splits.Split`."""

NAMES = ("train", "val_seen", "val_class", "val_unseen", "test_seen", "test_unseen")
"""Splits, in the order in which they are shown."""

PARTS = {**SPLIT_OF, **{name: name.partition("_")[0] for name in NAMES}}
"""Part of the set that a split's name in a table means."""

SETTINGS = {"val": "validation", "test": "test"}
"""What the rules are called in the settings."""

STRETCHES = 10
"""Into how many stretches ``blocks`` cuts the sequence."""


def as_said(rows: Sequence[PairRow], away: Sequence[bool]) -> dict[int, str]:
    """Part of each object as the table says; training where it says nothing of any pair.

    Where a diffuser does not train, its pairs decide only on objects that no other diffuser shows.
    """
    said: dict[int, dict[str | None, PairRow]] = {row.object: {} for row in rows}
    for row in (row for row, out in zip(rows, away, strict=True) if not out):
        said[row.object].setdefault(_word(row), row)
    for row in (row for row, out in zip(rows, away, strict=True) if out):
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
    if word not in PARTS:  # a misspelt word must not decide anything
        raise InvalidValue(
            f"{row.speckle}: unknown split {row.split!r}. Known are train, val and test, and {', '.join(NAMES)}."
        )
    return PARTS[word]


def by_rules(objects: Sequence[int], rules: dict[str, Part], mode: str, root: Path) -> dict[int, str]:
    """Part of each object by rules: first those that are listed, then counts of the others.

    Args:
        objects: numbers of the objects, in their sequence.
        rules: rule of ``val`` and of ``test``, where the table does not name that part.
        mode: see :class:`spt.data.recorded.splits.Split`.
        root: where relative paths of files of numbers begin.
    Raises:
        InvalidValue: if an object would be in two parts, or nothing is left to train on.
    """
    if not objects:
        return {}
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
    if sum(counts.values()) >= len(left):
        given = " and ".join(f"{SETTINGS[part]}={rule}" for part, rule in rules.items())
        raise InvalidValue(f"data.source.split: {given} leave none of {counted(len(objects), 'object')} to train on.")
    return parts | dict(_taken(left, counts, mode))


def _taken(objects: Sequence[int], counts: dict[str, int], mode: str) -> Iterator[tuple[int, str]]:
    """Each object with its part: training, validation, test in sequence, once or in every stretch."""
    order = list(objects)
    if mode == "shuffled":
        order = [order[k] for k in stream(0, "order", 0).permutation(len(order))]
    pieces = min([STRETCHES, *(count for count in counts.values() if count)]) if mode == "blocks" else 1
    counts = {"train": len(order) - sum(counts.values()), **counts}
    words = [
        part
        for piece in range(pieces)
        for part, count in counts.items()
        for _ in range(count * piece // pieces, count * (piece + 1) // pieces)
    ]
    return zip(order, words, strict=True)


def _number(rule: Part, objects: int) -> int:
    """How many objects a share or a count takes: of a share at least one."""
    if not isinstance(rule, int | float) or not rule:
        return 0
    return max(1, round(rule * objects)) if rule < 1 else int(rule)


def _listed(part: str, rule: Part, objects: Sequence[int], root: Path) -> list[int]:
    """Objects that ranges or a file name."""
    if rule is None or isinstance(rule, int | float):
        return []
    setting = f"data.source.split.{SETTINGS[part]}"
    there, chosen = set(objects), []
    for text in rule.split(",") if isinstance(rule, str) else map(str, rule):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", text)
        if ends:
            first, last = int(ends[1]), int(ends[2] or ends[1])
            found = sorted(number for number in there if first <= number <= last)
        else:
            found = [number for number in read_numbers(text, setting, root) if number in there]
        if not found:
            raise InvalidValue(
                f"{setting}: no object has a number of {text}. The objects are numbered {min(there)} to {max(there)}."
            )
        chosen += found
    return list(dict.fromkeys(chosen))
