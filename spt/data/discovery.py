"""Which speckle belongs to which target, from the names of folders and files."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from spt.data.files.names import ARRAYS, PICTURES, natural_key
from spt.data.naming import SPLIT_OF, Candidate, by_numbers, by_stem, by_words, described
from spt.data.numbering import Count, FilePair, numbered
from spt.data.patterns import Pattern, expression
from spt.data.table import Image, Table, counted
from spt.errors import InvalidValue, MissingFile

Way: TypeAlias = Callable[[str], Hashable]

WAYS: dict[str, Way] = {"equal names": by_stem, "the same words": by_words, "equal numbers": by_numbers}
"""How the names of two files may belong together, the strictest first."""

ADVICE = (
    "Say which files belong together, for example data.source.speckle='speckle/{number}.png' "
    "data.source.target='label/{number}.png'."
)


def find_pairs(
    root: Path, count: Count, speckle: str | None = None, target: str | None = None, skip: Collection[Path] = ()
) -> Table:
    """Find the pairs below a folder; :func:`find_files` says how, :func:`spt.data.numbering.numbered` numbers them."""
    pairs, notes = find_files(root, speckle, target, skip)
    return numbered(pairs, count, notes)


def find_files(
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
        speckle: pattern of the speckles' names, see :class:`spt.data.patterns.Pattern`; None finds them by words.
        target: pattern of the targets' names; None finds them by words.
        skip: files to leave out, with their partners.
    Returns:
        The pairs in the order of their names, 2 before 10, and sentences for the log.
    Raises:
        MissingFile: if there is no such folder, or no file in it.
        InvalidValue: if a file has no partner, or more than one.
    """
    if not root.is_dir():
        raise MissingFile(f"{root} is not a folder. Set data.source.root to the folder that holds the pairs.")
    patterns = {
        side: Pattern(text, f"data.source.{side}") for side, text in (("speckle", speckle), ("target", target)) if text
    }
    candidates = {side: _matching(root, pattern, side) for side, pattern in patterns.items() if pattern.shift is None}
    one_file = patterns["target"] if "target" in patterns and patterns["target"].shift is not None else None
    candidates = _by_words(root, patterns, candidates)
    if one_file is not None:
        pairs, way = _rows_of(root, one_file, candidates["speckle"]), f"the number of the speckle, {target}"
    else:
        pairs, way = _joined(candidates["speckle"], candidates["target"], {path.absolute() for path in skip})
    kept = [p for p in pairs if not {p.speckle.path.absolute(), p.target.path.absolute()} & _absolute(skip)]
    notes = [f"Speckles and targets belong together by {way}."]
    left_out = len(candidates["speckle"]) - len(kept)
    if left_out:
        notes.append(f"Left out as data.source.skip lists them or their partners: {counted(left_out, 'speckle')}.")
    return kept, notes


def _absolute(paths: Collection[Path]) -> set[Path]:
    return {path.absolute() for path in paths}


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
        if entry.name.startswith(".") or entry.name == "__MACOSX":
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
    missing = [side for side in ("speckle", "target") if side not in patterns]
    if not missing:
        return taken
    for side, candidates in list(taken.items()):
        named_otherwise = {c.path for c in candidates if _side(root, c.path) in missing}
        if len(named_otherwise) < len(candidates):
            taken[side] = [c for c in candidates if c.path not in named_otherwise]
    used = {candidate.path for side in taken.values() for candidate in side}
    used |= {root / pattern.file[0].expanduser() for pattern in patterns.values() if pattern.shift is not None}
    known = [path for path in scan(root) if path.suffix.lower() in PICTURES + ARRAYS and path not in used]
    if not known:
        raise MissingFile(f"{root} holds no pictures and no arrays ({', '.join(PICTURES + ARRAYS)}).")
    read = [described(path, PurePosixPath(path.relative_to(root).as_posix())) for path in known]
    named = {side: [entry for entry in read if entry[0].side == side] for side in missing}
    unnamed = [entry for entry in read if entry[0].side is None]
    for side in missing:
        # Where one side is known, what has no name is the other one.
        if not named[side] and (len(missing) == 1 or any(named.values())):
            named[side] = unnamed
    empty = [side for side in missing if not named[side]]
    if empty:
        raise InvalidValue(
            f"{root}: no folder and no file is named as {' or '.join(empty)}; there are {_examples(root, known)}. "
            f"{ADVICE} For arrays in files use data=arrays."
        )
    stray = [] if any(side is unnamed for side in named.values()) or len(missing) == 1 else unnamed
    if stray:
        raise InvalidValue(
            f"{root}: {counted(len(stray), 'file')} named neither as speckle nor as target: "
            f"{_examples(root, [entry[0].path for entry in stray])}. Move them elsewhere. Or: {ADVICE}"
        )
    return taken | {side: _with_diffusers(entries) for side, entries in named.items()}


def _side(root: Path, path: Path) -> str | None:
    """The side that a file's name and folders say."""
    return (
        described(path, PurePosixPath(path.relative_to(root).as_posix()))[0].side if path.is_relative_to(root) else None
    )


def _with_diffusers(entries: Sequence[tuple[Candidate, tuple[str, ...]]]) -> list[Candidate]:
    """Folders that are the same for all files name no diffuser."""
    levels = zip(*(folders for _, folders in entries), strict=False)
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    return [replace(candidate, diffuser="/".join(folders[shared:])) for candidate, folders in entries]


def _examples(root: Path, paths: Sequence[Path], most: int = 5) -> str:
    names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# Partners -------------------------------------------------------------------------------------------------------------


def _rows_of(root: Path, pattern: Pattern, speckles: Sequence[Candidate]) -> list[FilePair]:
    """Targets that lie in one file, each at the place that the speckle's number says."""
    path, key = pattern.file
    pairs = []
    for speckle in speckles:
        found = by_numbers(speckle.stem)
        if not found or found[-1] + (pattern.shift or 0) < 0:
            raise InvalidValue(
                f"{speckle.path}: the name holds no number that leads to an image of {pattern.setting}={pattern.text}."
            )
        target = Image(root / path.expanduser(), key, found[-1] + (pattern.shift or 0))
        pairs.append(_pair(speckle, target, speckle.split, speckle.label))
    return pairs


def _joined(
    speckles: Sequence[Candidate], targets: Sequence[Candidate], skip: Collection[Path]
) -> tuple[list[FilePair], str]:
    """Find each speckle's target the strictest way that gives every file one partner."""
    fields = [name for name in ("split", "diffuser", "distance", "label") if _both(name, speckles, targets)]
    tried = {way: _partners(speckles, targets, fields, key) for way, key in WAYS.items()}
    for way, partners in tried.items():
        if not _problem(speckles, targets, partners, fields, WAYS[way], skip):
            both = [(speckle, partners[k][0]) for k, speckle in enumerate(speckles) if partners[k]]
            return [_pair(s, Image(t.path, t.key), s.split or t.split, s.label or t.label) for s, t in both], way
    best = max(tried, key=lambda way: sum(map(bool, tried[way])))
    raise InvalidValue(_problem(speckles, targets, tried[best], fields, WAYS[best], skip))


def _both(name: str, *sides: Sequence[Candidate]) -> bool:
    return all(any(getattr(candidate, name) not in (None, "") for candidate in side) for side in sides)


def _place(candidate: Candidate, fields: Sequence[str]) -> tuple[Hashable, ...]:
    values = [getattr(candidate, name) for name in fields]
    return tuple(SPLIT_OF.get(str(v).lower(), v) if n == "split" else v for n, v in zip(fields, values, strict=True))


def _partners(
    speckles: Sequence[Candidate], targets: Sequence[Candidate], fields: Sequence[str], key: Way
) -> list[list[Candidate]]:
    """Targets of each speckle."""
    there = defaultdict(list)
    for target in targets:
        there[_place(target, fields), key(target.stem)].append(target)
    return [there.get((_place(speckle, fields), key(speckle.stem)), []) for speckle in speckles]


def _problem(
    speckles: Sequence[Candidate],
    targets: Sequence[Candidate],
    partners: Sequence[Sequence[Candidate]],
    fields: Sequence[str],
    key: Way,
    skip: Collection[Path],
) -> str:
    """What is wrong with these partners; empty where nothing is."""
    used = {target.path for found in partners for target in found}
    alone = [speckle for speckle, found in zip(speckles, partners, strict=True) if not found]
    unused = [target for target in targets if target.path not in used]
    for candidates, side, other in ((alone, "speckle", "target"), (unused, "target", "speckle")):
        paths = [c.path for c in candidates if c.path.absolute() not in skip]
        if paths:
            return f"{counted(len(paths), side)} without a {other}: {_names(paths)}. {_remedy(speckles, targets)}"
    for speckle, found in zip(speckles, partners, strict=True):
        if len(found) > 1:
            return f"{speckle.path} has {len(found)} possible targets: {_names([t.path for t in found])}. {ADVICE}"
    seen: dict[Hashable, Path] = {}
    for speckle in speckles:
        own = (_place(speckle, ("split", "diffuser", "distance", "label", "frame")), key(speckle.stem))
        if own in seen:
            return (
                f"{speckle.path} and {seen[own]} belong to one target by their names. Say what tells them apart, for "
                "example {diffuser} or {frame} in data.source.speckle='speckle/{number}_{frame}.png'."
            )
        seen[own] = speckle.path
    return ""


def _names(paths: Sequence[Path], most: int = 5) -> str:
    return ", ".join(map(str, paths[:most])) + (f" and {len(paths) - most} more" if len(paths) > most else "")


def _remedy(speckles: Sequence[Candidate], targets: Sequence[Candidate]) -> str:
    if len(targets) == 1 < len(speckles):
        return (
            "If the one file holds all targets, say which image belongs to a speckle: "
            f"data.source.target='{targets[0].path.name}[number-1]' for speckles that are numbered from 1."
        )
    return f"Add what is missing, or list the files to leave out in data.source.skip. Or: {ADVICE}"


def _pair(speckle: Candidate, target: Image, split: str | None, label: str | None) -> FilePair:
    image = Image(speckle.path, speckle.key)
    return FilePair(image, target, speckle.diffuser, speckle.distance, None, label, split)
