"""Which target belongs to which speckle, once both sides are known."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from spt.data.recorded.naming import SPLIT_OF, Candidate, by_numbers, by_stem, by_words
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.patterns import Pattern
from spt.data.recorded.table import Image, counted
from spt.data.recorded.unpaired import Fault, Unpaired

Way: TypeAlias = Callable[[str], Hashable]

WAYS: dict[str, Way] = {"equal names": by_stem, "the same words": by_words, "equal numbers": by_numbers}
"""How the names of two files may belong together, the strictest first."""

ADVICE = (
    "Say which files belong together, for example data.source.speckle='speckle/{number}.png' "
    "data.source.target='label/{number}.png'."
)

TELL_APART = (
    "Say what tells them apart, for example {diffuser} or {frame} in "
    "data.source.speckle='speckle/{number}_{frame}.png'."
)
NO_TARGET = "no target belongs to it"
NO_SPECKLE = "no speckle belongs to it"
SHARED = "belongs by its name to the same target as"


def rows_of(root: Path, pattern: Pattern, speckles: Sequence[Candidate]) -> list[FilePair]:
    """Targets that lie in one file, each at the place that the speckle's number says.

    Raises:
        Unpaired: if the name of a speckle holds no such number.
    """
    path, key = pattern.file
    pairs, faults = [], []
    for speckle in speckles:
        found = by_numbers(speckle.stem)
        if found and found[-1] + (pattern.shift or 0) >= 0:
            target = Image(root / path.expanduser(), key, found[-1] + (pattern.shift or 0))
            pairs.append(_pair(speckle, target, speckle.split, speckle.label))
        else:
            problem = f"the name holds no number that leads to an image of {pattern.setting}={pattern.text}"
            faults.append(Fault("speckle", _image(speckle), problem))
    if faults:
        raise Unpaired(f"{faults[0].image}: {faults[0].problem}.", faults, pairs)
    return pairs


def joined(
    speckles: Sequence[Candidate], targets: Sequence[Candidate], skip: Collection[Path]
) -> tuple[list[FilePair], str]:
    """Find each speckle's target the strictest way that gives every file one partner.

    Args:
        speckles: one side.
        targets: the other side.
        skip: files that need no partner.
    Returns:
        The pairs, and a sentence on how they were found.
    Raises:
        Unpaired: if no way does; it holds the pairs of the way that leaves the fewest files over.
    """
    fields = [name for name in ("split", "diffuser", "distance", "label") if _both(name, speckles, targets)]
    tried = []
    for way, key in WAYS.items():
        partners = _partners(speckles, targets, fields, key, skip)
        faults = list(_faults(speckles, targets, partners, key, skip))
        wrong = {fault.image for fault in faults}
        both = [(speckle, found[0]) for speckle, found in zip(speckles, partners, strict=True) if found]
        pairs = [_pair(s, _image(t), s.split or t.split, s.label or t.label) for s, t in both if _image(s) not in wrong]
        note = f"Speckles and targets belong together by {way}."
        if not faults:
            return pairs, note
        tried.append((faults, pairs, note))
    faults, pairs, note = min(tried, key=lambda each: len(each[0]))  # the strictest of equally good ones
    raise Unpaired(_message(faults, speckles, targets), faults, pairs, [note])


def _both(name: str, *sides: Sequence[Candidate]) -> bool:
    return all(any(getattr(candidate, name) not in (None, "") for candidate in side) for side in sides)


def _place(candidate: Candidate, fields: Sequence[str]) -> tuple[Hashable, ...]:
    values = [getattr(candidate, name) for name in fields]
    return tuple(SPLIT_OF.get(str(v).lower(), v) if n == "split" else v for n, v in zip(fields, values, strict=True))


def _partners(
    speckles: Sequence[Candidate], targets: Sequence[Candidate], fields: Sequence[str], key: Way, skip: Collection[Path]
) -> list[list[Candidate]]:
    """Targets of each speckle; one that is left out counts only where it is the only one."""
    there = defaultdict(list)
    for target in targets:
        there[_place(target, fields), key(target.stem)].append(target)
    found = [there.get((_place(speckle, fields), key(speckle.stem)), []) for speckle in speckles]
    return [each if len(each) < 2 else [t for t in each if t.path.absolute() not in skip] or each for each in found]


def _faults(
    speckles: Sequence[Candidate],
    targets: Sequence[Candidate],
    partners: Sequence[Sequence[Candidate]],
    key: Way,
    skip: Collection[Path],
) -> Iterator[Fault]:
    """Every file that has not one partner, and is not left out."""
    used = {target.path for found in partners for target in found}
    both = [(s, found) for s, found in zip(speckles, partners, strict=True) if s.path.absolute() not in skip]
    unused = [t for t in targets if t.path not in used and t.path.absolute() not in skip]
    yield from (Fault("speckle", _image(speckle), NO_TARGET) for speckle, found in both if not found)
    yield from (Fault("target", _image(target), NO_SPECKLE) for target in unused)
    first: dict[Hashable, Path] = {}
    for speckle, found in both:
        own = (_place(speckle, ("split", "diffuser", "distance", "label", "frame")), key(speckle.stem))
        if len(found) > 1:
            named = _names([target.path for target in found])
            yield Fault("speckle", _image(speckle), f"has {len(found)} possible targets: {named}")
        elif found and first.setdefault(own, speckle.path) != speckle.path:
            yield Fault("speckle", _image(speckle), f"{SHARED} {first[own]}")


def _message(faults: Sequence[Fault], speckles: Sequence[Candidate], targets: Sequence[Candidate]) -> str:
    """What a training says: the first faults, and what to do."""
    first = faults[0]
    for problem, other in ((NO_TARGET, "target"), (NO_SPECKLE, "speckle")):
        if first.problem == problem:
            alike = [fault.image.path for fault in faults if fault.problem == problem]
            return f"{counted(len(alike), first.side)} without a {other}: {_names(alike)}. {_remedy(speckles, targets)}"
    remedy = TELL_APART if first.problem.startswith(SHARED) else ADVICE
    return f"{first.image.path} {first.problem}. {remedy}"


def _names(paths: Sequence[Path], most: int = 5) -> str:
    return ", ".join(map(str, paths[:most])) + (f" and {len(paths) - most} more" if len(paths) > most else "")


def _remedy(speckles: Sequence[Candidate], targets: Sequence[Candidate]) -> str:
    if len(targets) == 1 < len(speckles):
        return (
            "If the one file holds all targets, say which image belongs to a speckle: "
            f"data.source.target='{targets[0].path.name}[number-1]' for speckles that are numbered from 1."
        )
    return f"Add what is missing, or list the files to leave out in data.source.skip. Or: {ADVICE}"


def _image(candidate: Candidate) -> Image:
    return Image(candidate.path, candidate.key)


def _pair(speckle: Candidate, target: Image, split: str | None, label: str | None) -> FilePair:
    return FilePair(_image(speckle), target, speckle.diffuser, speckle.distance, None, label, split)
