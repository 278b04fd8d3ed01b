"""Pairs of an evaluated split that a network has met in training, or that chose its epoch."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.leaks.leak import Leak, Place, Repeated, same_file, same_pixels
from spt.data.leaks.nearest import SAMPLE, Nearest, Neighbours, Scale
from spt.data.leaks.turned import is_turned
from spt.data.pairs import Pairs
from spt.data.readers import evenly
from spt.data.similarity import Look, copies, distances, joined, spread, thumbnails

SAME_OBJECT = 0.003
"""Objects that are closer than this count as one; :func:`find_leaks` says what a distance is and what was measured."""

SAME_SPECKLE = 0.006
"""Speckles of like objects that are closer than this count as two exposures of one scene."""

EQUAL = 1e-5
"""1 less the correlation of equal frames, with room for rounding; such frames are then compared pixel by pixel."""


PIECE = 4096
"""Objects that are compared together."""


def find_leaks(splits: Mapping[str, Pairs], look: Look | None = None) -> list[Leak]:
    """Find pairs that must not be where they are: at most one leak a pair, and one a diffuser.

    No pair of another split may repeat one of ``train``: its file, its pixels, also turned by 90 degrees or mirrored,
    its object, or its object's number.
    A split whose name ends in ``_unseen`` may have no diffuser of ``train``. No pair of a ``test_`` split may repeat
    the pixels of one of a ``val_`` split, or be another exposure of it through the same diffuser. These two may share
    objects: a validation split and a split of unseen diffusers often do.

    Images are compared as small copies, so that one that was resized or saved anew is found. Their distance is 1 less
    their correlation, divided by the average of that over two pairs of the split that is repeated.

    Measured: the nearest of 60,000 digits of MNIST is .0043 or more away from each of 10,000 other digits, so none
    counts as the same at ``SAME_OBJECT``. Of digits of 28 px that are saved as JPEG, 100 % are found at quality 75 and
    96 % at 50; of those that are resized to 256 px 78 % by bilinear and 99.8 % by bicubic interpolation; of digits of
    256 px all, at quality 10 and down to 64 px too. What was changed more is found in part or not at all: of digits of
    256 px 84 % that are shifted by 1 px, none by 2 px, and 75 % in black and white; none of 28 px that are shifted or
    made black and white. A turned or mirrored object is another object: b is no d. Digits
    of 28 px in black and white are not all different: 17 of the 10,000 are found. Real speckles of different objects
    through one 220-grit diffuser (256 px) are .044 apart or more; two exposures are .001 apart at 100 photons a pixel,
    .0045 at 20, and .002 after a drift by half a pixel. Speckles count as exposures only where their objects are alike.

    Args:
        splits: the pairs of each split by its name.
        look: shown every block of images that is read; it may refuse one.
    """
    evaluated = {name: pairs for name, pairs in splits.items() if name != "train"}
    if not evaluated:
        return []
    small = {name: joined(list(copies(pairs, look=look))) for name, pairs in evaluated.items()}
    found: list[Leak] = []
    if "train" in splits:
        train = splits["train"]
        scale, places = Scale.of(train), [place for name, pairs in evaluated.items() for place in _places(name, pairs)]
        near = Neighbours.of(joined(list(small.values())), copies(train, look=look), scale)
        found += _shared_diffusers(evaluated, train)
        found += _repeated_frames(places, near, scale, "train", train)
        found += _repeated_objects(places, near, train)
    for test in (name for name in evaluated if name.startswith("test_")):
        for val in (name for name in evaluated if name.startswith("val_")):
            scale, allowed = Scale.of(evaluated[val]), evaluated[test].diffuser[:, None] == evaluated[val].diffuser
            near = Neighbours.of(small[test], [small[val]], scale, allowed)
            found += _repeated_frames(_places(test, evaluated[test]), near, scale, val, evaluated[val])
    return _strongest(found, list(splits))


def repeated_objects(objects: Shaped[Tensor, "n h w"], splits: Mapping[str, Pairs]) -> list[Repeated]:
    """Pairs of evaluated splits that show one of some objects, by its looks as in :func:`find_leaks`.

    Args:
        objects: what a network learns from beside the pairs of ``train``.
        splits: the pairs of each split by its name; ``train`` is not looked at.
    """
    blocks = [range(start, min(start + PIECE, len(objects))) for start in range(0, len(objects), PIECE)]
    known = [thumbnails(objects[part.start : part.stop]) for part in blocks]
    scale = spread(torch.cat(known)[evenly(len(objects), SAMPLE)])
    found: list[Repeated] = []
    for name, pairs in splits.items():
        if name == "train":
            continue
        small, nearest = joined(list(copies(pairs))).target, Nearest(len(pairs))
        for part, others in zip(blocks, known, strict=True):
            nearest.update(distances(small, others, scale), torch.tensor(part))
        rows = (nearest.distance < SAME_OBJECT).nonzero()[:, 0].tolist()
        found += [Repeated(Place(name, row, pairs), int(nearest.row[row])) for row in rows]
    return found


def _places(split: str, pairs: Pairs) -> list[Place]:
    return [Place(split, row, pairs) for row in range(len(pairs))]


def _strongest(leaks: list[Leak], splits: list[str]) -> list[Leak]:
    """Of each pair the first leak, and all diffusers; in the order of the splits and their pairs."""
    first: dict[tuple[str, int, bool], Leak] = {}
    for leak in leaks:
        first.setdefault((leak.pair.split, leak.pair.row, leak.kind == "diffuser"), leak)
    return sorted(
        first.values(), key=lambda leak: (leak.kind != "diffuser", splits.index(leak.pair.split), leak.pair.row)
    )


def _first_rows(numbers: Tensor) -> dict[int | float, int]:
    """The first row of each number."""
    return {number: row for row, number in reversed(list(enumerate(numbers.tolist())))}


def _shared_diffusers(evaluated: Mapping[str, Pairs], train: Pairs) -> Iterator[Leak]:
    """Diffusers that are called unseen and are in ``train``."""
    trained = _first_rows(train.diffuser)
    for split, pairs in evaluated.items():
        if split.endswith("_unseen"):
            for diffuser, row in _first_rows(pairs.diffuser).items():
                if diffuser in trained:
                    yield Leak("diffuser", Place(split, row, pairs), Place("train", trained[diffuser], train))


def _repeated_frames(places: list[Place], near: Neighbours, scale: Scale, split: str, pairs: Pairs) -> Iterator[Leak]:
    """Pairs whose frame is one of another split, or another exposure of it."""
    for index in (near.speckle.distance * scale.speckle < EQUAL).nonzero()[:, 0].tolist():
        place, other = places[index], Place(split, int(near.speckle.row[index]), pairs)
        if same_pixels(place, other):
            yield Leak("file" if same_file(place, other) else "pixels", place, other)
    for index in (near.exposure.distance < SAME_SPECKLE).nonzero()[:, 0].tolist():
        yield Leak("exposure", places[index], Place(split, int(near.exposure.row[index]), pairs))
    for index in (near.turned.distance < SAME_SPECKLE).nonzero()[:, 0].tolist():
        place, other = places[index], Place(split, int(near.turned.row[index]), pairs)
        if is_turned(place, other, SAME_SPECKLE * scale.speckle):
            yield Leak("turned", place, other)


def _repeated_objects(places: list[Place], near: Neighbours, train: Pairs) -> Iterator[Leak]:
    """Pairs whose object is in ``train``: by its number, where both splits number their objects, or by its looks."""
    trained = _first_rows(train.parameters.get("object", torch.empty(0)))
    for place in places if trained else []:
        numbers = place.pairs.parameters.get("object")
        number = None if numbers is None else numbers[place.row].item()
        if number in trained:
            yield Leak("number", place, Place("train", trained[number], train))
    for index in (near.target.distance < SAME_OBJECT).nonzero()[:, 0].tolist():
        yield Leak("object", places[index], Place("train", int(near.target.row[index]), train))
