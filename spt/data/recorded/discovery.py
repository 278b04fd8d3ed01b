"""Which speckle belongs to which target, from the names of folders and files."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from spt.data.files.names import ARRAYS, PICTURES, is_hidden, natural_key
from spt.data.recorded.naming import SIDES, Candidate, described
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.partners import ADVICE, joined, rows_of
from spt.data.recorded.patterns import Pattern, expression
from spt.data.recorded.table import counted
from spt.errors import InvalidValue, MissingFile

Entry: TypeAlias = tuple[Candidate, tuple[str, ...]]
"""A file, and its folders that name neither side nor split."""


def find_pairs(
    root: Path, speckle: str | None = None, target: str | None = None, skip: Collection[Path] = ()
) -> tuple[list[FilePair], list[str]]:
    """Pair the files below a folder.

    Folders and files are known by words in their names: ``speckle``, ``input``, ``x`` and others for one side,
    ``target``, ``label``, ``gt`` and others for the other, ``train``, ``val``, ``test`` for the splits. A folder
    that is none of these and differs between the files is a diffuser. Two files belong together if their names are
    equal, or are equal but for these words, or hold equal numbers; one of these must hold for every file. Hidden files
    are no part of the set.

    Args:
        root: the folder.
        speckle: pattern of the speckles' names, see :mod:`spt.data.recorded.patterns`; None finds them by words.
        target: pattern of the targets' names; None finds them by words.
        skip: files to leave out, with their partners.
    Returns:
        The pairs in the order of their names, 2 before 10, and sentences for the log.
    Raises:
        MissingFile: if there is no such folder, or no file in it.
        InvalidValue: if no side is named, or a pattern is wrong.
        Unpaired: if a file has no partner, or more than one.
    """
    if not root.is_dir():
        raise MissingFile(f"{root} is not a folder. Set data.source.root to the folder that holds the pairs.")
    patterns = {
        side: Pattern(text, f"data.source.{side}") for side, text in (("speckle", speckle), ("target", target)) if text
    }
    if "speckle" in patterns and patterns["speckle"].shift is not None:
        raise InvalidValue(
            f"data.source.speckle={speckle}: only data.source.target may end in [number], for all targets in one file. "
            "Leave it out here."
        )
    candidates = {side: _matching(root, pattern, side) for side, pattern in patterns.items() if pattern.shift is None}
    one_file = patterns["target"] if "target" in patterns and patterns["target"].shift is not None else None
    candidates = _by_words(root, patterns, candidates)
    out = {path.absolute() for path in skip}
    if one_file is not None:
        pairs = rows_of(root, one_file, [c for c in candidates["speckle"] if c.path.absolute() not in out])
        note = f"Speckles and targets belong together by the number of the speckle, {target}."
    else:
        pairs, note = joined(candidates["speckle"], candidates["target"], out)
    kept = [pair for pair in pairs if not {pair.speckle.path.absolute(), pair.target.path.absolute()} & out]
    notes = [note]
    left_out = len(candidates["speckle"]) - len(kept)
    if left_out:
        notes.append(f"Left out as data.source.skip lists them or their partners: {counted(left_out, 'speckle')}.")
    return kept, notes


# Files ----------------------------------------------------------------------------------------------------------------


def scan(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Every file below a folder, numbers by value; hidden ones are left out, and a loop of links is not followed."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise InvalidValue(f"{folder} cannot be opened: {error.strerror}.") from error
    for entry in entries:
        if is_hidden(entry.name) or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            yield from scan(Path(entry.path), (*above, real))
        elif entry.is_file():
            yield Path(entry.path)


def _matching(root: Path, pattern: Pattern, side: str) -> list[Candidate]:
    folder, rest = pattern.split(root)
    if not folder.is_dir():
        raise MissingFile(f"{pattern.setting}={pattern.text}: {folder} is not a folder.")
    wanted = expression(rest)
    found = (pattern.candidate(path, path.relative_to(folder).as_posix(), wanted, side) for path in scan(folder))
    candidates = [candidate for candidate in found if candidate is not None]
    if not candidates:
        raise MissingFile(f"{pattern.setting}={pattern.text} matches no file below {folder}.")
    return candidates


def _by_words(
    root: Path, patterns: dict[str, Pattern], taken: dict[str, list[Candidate]]
) -> dict[str, list[Candidate]]:
    """Both sides: that for which there is no pattern by words, the other one without these files."""
    missing = [side for side in SIDES if side not in patterns]
    if not missing:
        return taken
    taken = {side: _without(root, candidates, missing) for side, candidates in taken.items()}
    used = {candidate.path for side in taken.values() for candidate in side}
    used |= {root / pattern.file[0].expanduser() for pattern in patterns.values() if pattern.shift is not None}
    known = [path for path in scan(root) if path.suffix.lower() in PICTURES + ARRAYS and path not in used]
    if not known:
        raise MissingFile(f"{root} holds no pictures and no arrays ({', '.join(PICTURES + ARRAYS)}).")
    named = _sides(root, [_described(root, path) for path in known], missing)
    return taken | {side: _with_diffusers(entries) for side, entries in named.items()}


def _sides(root: Path, read: Sequence[Entry], missing: Sequence[str]) -> dict[str, list[Entry]]:
    """Files of each missing side. Where the other side is known, what has no name is of this one."""
    named = {side: [entry for entry in read if entry[0].side == side] for side in missing}
    unnamed = [entry for entry in read if entry[0].side is None]
    for side in missing:
        if unnamed and not named[side] and (len(missing) == 1 or any(named.values())):
            named[side], unnamed = unnamed, []
    empty = [side for side in missing if not named[side]]
    if empty:
        raise InvalidValue(
            f"{root}: no folder and no file is named as {' or '.join(empty)}; there are {_examples(root, read)}. "
            f"{ADVICE} For arrays in files use data=arrays."
        )
    if unnamed and len(missing) == 2:
        raise InvalidValue(
            f"{root}: {counted(len(unnamed), 'file')} named neither as speckle nor as target: "
            f"{_examples(root, unnamed)}. Move them elsewhere. Or: {ADVICE}"
        )
    return named


def _without(root: Path, candidates: list[Candidate], sides: Sequence[str]) -> list[Candidate]:
    """What a wide pattern matches, without files that are named as the other side, unless all are."""
    inside = [c for c in candidates if not c.path.is_relative_to(root) or _described(root, c.path)[0].side not in sides]
    return inside or candidates


def _described(root: Path, path: Path) -> Entry:
    return described(path, path.relative_to(root))


def _with_diffusers(entries: Sequence[Entry]) -> list[Candidate]:
    """Folders that are the same for all files name no diffuser."""
    levels = zip(*(folders for _, folders in entries), strict=False)
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    return [replace(candidate, diffuser="/".join(folders[shared:])) for candidate, folders in entries]


def _examples(root: Path, entries: Sequence[Entry], most: int = 5) -> str:
    names = [entry[0].path.relative_to(root).as_posix() for entry in entries]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
