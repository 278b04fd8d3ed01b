"""What the names of folders and files say: speckle or target, training or test, which diffuser, which number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

SIDES = {
    "speckle": ("speckle", "speckles", "input", "inputs", "x", "diffuser", "sp"),
    "target": (
        "target", "targets", "label", "labels", "gt", "groundtruth", "output", "outputs", "y", "lensed", "lb",
        "object", "objects", "original", "originals",
    ),
}  # fmt: skip
"""Words for the two sides of a pair, in lower case."""

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "vali", "valid", "validation", "eval", "evaluation", "dev"),
    "test": ("test", "testing"),
}
"""Words for the three parts of a set, in lower case."""

FILLERS = ("image", "images", "img", "imgs", "data", "frame", "frames", "pattern", "patterns", "set")
"""Words that say nothing beside one of the above."""

SIDE_OF = {word: side for side, words in SIDES.items() for word in words}
SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be half of a pair, and what its name says.

    Args:
        path: the file.
        key: name of the array in the file.
        stem: what is compared with the other side.
        side: ``speckle`` or ``target``; None where no name says so.
        split: word for the split.
        diffuser: name of the diffuser; empty where no name says so.
        distance: distance of the camera [m].
        label: class of the object.
        frame: number of the exposure, where several show one object.
    """

    path: Path
    key: str | None
    stem: str
    side: str | None = None
    split: str | None = None
    diffuser: str = ""
    distance: float | None = None
    label: str | None = None
    frame: str | None = None


def words(name: str) -> list[str]:
    """Runs of letters and runs of digits, in lower case."""
    return re.findall(r"[^\W\d_]+|\d+", name.lower())


def described(path: Path, inside: PurePath) -> tuple[Candidate, tuple[str, ...]]:
    """Read a file's name and those of its folders.

    Args:
        path: the file.
        inside: its path below the root of the set.
    Returns:
        The file without its diffuser, and the folders that name neither side nor split.
    """
    side = split = None
    others = []
    for folder in inside.parts[:-1]:
        own_side, own_split, rest = _sorted_words(words(folder))
        if rest or (own_side is None and own_split is None):
            others.append(folder)
            continue
        side, split = own_side or side, own_split or split  # the innermost folder decides
    own_side, own_split, rest = _sorted_words(words(inside.stem))
    side = side or own_side
    if not any(word.isdecimal() for word in rest):  # x_train, but not test_3
        split = split or own_split
    return Candidate(path, None, inside.stem, side, split), tuple(others)


def _sorted_words(found: Sequence[str]) -> tuple[str | None, str | None, list[str]]:
    """Word for the side if there is one alone, word for the split, and other words."""
    sides = {SIDE_OF[word] for word in found if word in SIDE_OF}
    split = next((word for word in found if word in SPLIT_OF), None)
    rest = [word for word in found if word not in SIDE_OF and word not in SPLIT_OF and word not in FILLERS]
    return (sides.pop() if len(sides) == 1 else None), split, rest


def by_stem(stem: str) -> str:
    """The name as it is."""
    return stem


def by_words(stem: str) -> tuple[str, ...]:
    """The name without the words that say which side and which split it is; 007 is 7."""
    return tuple(str(int(word)) if word.isdecimal() else word for word in _sorted_words(words(stem))[2])


def by_numbers(stem: str) -> tuple[int, ...]:
    """The numbers in the name."""
    return tuple(int(word) for word in words(stem) if word.isdecimal())
