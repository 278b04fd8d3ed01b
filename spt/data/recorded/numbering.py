"""From pairs of files, described by words, to a table of pairs of images, described by numbers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spt.data.recorded.table import Image, PairRow, Table
from spt.errors import InvalidValue

Count = Callable[[Image, Image], tuple[int, int]]
"""How many images a file of speckles and the file of their targets hold."""


@dataclass(frozen=True, slots=True)
class FilePair:
    """A speckle and its target as files; what is known of them as text.

    Args:
        speckle: the file of the speckle, or one image in it.
        target: the file of the target, or one image in it.
        diffuser: name of the diffuser; empty where nothing is said.
        distance: distance of the camera [m].
        object: name of the object; None where the target alone says which object it is.
        label: class of the object.
        split: split.
    """

    speckle: Image
    target: Image
    diffuser: str = ""
    distance: float | None = None
    object: str | None = None
    label: str | None = None
    split: str | None = None


def numbered(pairs: Sequence[FilePair], count: Count, notes: Sequence[str] = ()) -> Table:
    """Take files of several images apart, and number diffusers and objects.

    A diffuser has the number in its name, where the names differ by a whole number alone; else diffusers are counted
    from 1 in the order of their names. An object has the number that the manifest or the target's name gives it, or
    its place in the target's file; where two objects would share a number, all are counted from 0.

    Raises:
        InvalidValue: if a file of speckles holds another number of images than the file of its targets.
    """
    single = [each for pair in pairs for each in _taken_apart(pair, count)]
    diffusers = numbers(sorted({pair.diffuser for pair in single}, key=_natural))
    objects = _objects(single)
    rows = [
        PairRow(
            pair.speckle,
            pair.target,
            diffusers[pair.diffuser],
            pair.diffuser,
            pair.distance,
            objects[_identity(pair)],
            pair.label,
            pair.split,
        )
        for pair in single
    ]
    return Table(rows, notes)


def numbers(names: Sequence[str]) -> dict[str, int]:
    """Number names: by the one whole number in which they differ, else from 1 in their order."""
    parts = [re.findall(r"\d+(?:\.\d+)?|[^\d]+", name) for name in names]
    if len({len(part) for part in parts}) == 1:
        places = [k for k, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
        if len(names) == 1:  # nothing to compare with: the last number
            places = [k for k, value in enumerate(parts[0]) if value.isdecimal()][-1:]
        if len(places) == 1 and all(part[places[0]].isdecimal() for part in parts):
            found = [int(part[places[0]]) for part in parts]
            if len(set(found)) == len(found) and max(found) < 2**63:
                return dict(zip(names, found, strict=True))
    return {name: number for number, name in enumerate(names, start=1)}


def _natural(name: str) -> list[tuple[bool, float, str]]:
    parts = re.findall(r"\d+(?:\.\d+)?|[^\d]+", name.lower())
    return [(not part[0].isdecimal(), float(part) if part[0].isdecimal() else 0.0, part) for part in parts]


def _taken_apart(pair: FilePair, count: Count) -> list[FilePair]:
    speckle, target = pair.speckle, pair.target
    speckles, targets = count(speckle, target)
    if targets not in (1, speckles):
        raise InvalidValue(
            f"{speckle} holds {speckles} speckles, and {target} holds {targets} targets. A file of several speckles "
            "needs one target, or as many targets in the same order."
        )
    return [
        replace(
            pair,
            speckle=replace(speckle, row=k) if speckles > 1 else speckle,
            target=replace(target, row=k) if targets > 1 else target,
        )
        for k in range(speckles)
    ]


def _identity(pair: FilePair) -> str | Image:
    return pair.target if pair.object is None else pair.object


def _objects(pairs: Sequence[FilePair]) -> dict[str | Image, int]:
    each = dict.fromkeys(_identity(pair) for pair in pairs)
    files = len({pair.target.path for pair in pairs if pair.object is None})
    own = [_own_number(identity, several=files > 1) for identity in each]
    if None not in own and len(set(own)) == len(own):
        return {identity: number for identity, number in zip(each, own, strict=True) if number is not None}
    return {identity: number for number, identity in enumerate(each)}


def _own_number(identity: str | Image, several: bool) -> int | None:
    """The number in an object's name, or the place of an image in the only file of targets."""
    if isinstance(identity, Image) and identity.row is not None and not several:
        return identity.row
    name = identity.path.stem if isinstance(identity, Image) else identity
    found = re.findall(r"\d+", name)
    return int(found[-1]) if found and int(found[-1]) < 2**63 else None  # as large as a tensor's numbers
