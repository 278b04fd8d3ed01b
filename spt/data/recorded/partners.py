"""Which target belongs to which speckle, once both sides are known."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path
from typing import TypeAlias

from spt.data.recorded.naming import SPLIT_OF, Candidate, by_numbers, by_stem, by_words
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.patterns import Pattern
from spt.data.recorded.table import Image, counted
from spt.errors import InvalidValue

Way: TypeAlias = Callable[[str], Hashable]

WAYS: dict[str, Way] = {"equal names": by_stem, "the same words": by_words, "equal numbers": by_numbers}
"""How the names of two files may belong together, the strictest first."""

ADVICE = (
    "Say which files belong together, for example data.source.speckle='speckle/{number}.png' "
    "data.source.target='label/{number}.png'."
)


def rows_of(root: Path, pattern: Pattern, speckles: Sequence[Candidate]) -> list[FilePair]:
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


def joined(
    speckles: Sequence[Candidate], targets: Sequence[Candidate], skip: Collection[Path]
) -> tuple[list[FilePair], str]:
    """Find each speckle's target the strictest way that gives every file one partner."""
    fields = [name for name in ("split", "diffuser", "distance", "label") if _both(name, speckles, targets)]
    tried = {}
    for way, key in WAYS.items():
        tried[way] = partners = _partners(speckles, targets, fields, key)
        if not _problem(speckles, targets, partners, fields, key, skip):
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
