"""Pairs in arrays: two files of many images each, or two arrays of one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from spt.data.files import FileSettings
from spt.data.files.names import split_key
from spt.data.recorded.index_arrays import read_numbers, read_words
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.source import RecordedPairs, named_folder
from spt.data.recorded.splits import Split
from spt.data.recorded.table import Image
from spt.data.recorded.unpaired import Fault, Unpaired
from spt.errors import InvalidValue, MissingFile

Arrays: TypeAlias = str | Sequence[str] | None


@dataclass(frozen=True)
class PairArrays:
    """Arrays with one value a pair, each as file and key: what is known of the pairs, in the order of the speckles.

    Args:
        diffuser: number or name of the diffuser; ``file`` makes each file of speckles a diffuser of its own.
        object: number of the object; pairs of equal number show the same.
        distance: distance of the camera [m].
        label: class of the object.
        order: numbers of pairs, from 0: the order in which they are taken. A pair that is not in it is left out.
    """

    diffuser: str | None = None
    object: str | None = None
    distance: str | None = None
    label: str | None = None
    order: str | None = None


@dataclass(frozen=True)
class ArrayPairs(RecordedPairs):
    """Pairs in arrays, which lie in files as they are.

    An array is named as ``file`` or ``file:key``; a list of names joins several. Names by split, ``{train: ...,
    val: ..., test: ...}``, give each split arrays of its own. Where every file of speckles holds as many images as
    all files of targets together, every file shows all objects, and each is a diffuser.

    Args:
        root: where relative names begin; None is the folder in which the command was started.
        speckle: the arrays of speckles.
        target: the arrays of targets, in the same order.
        numbers: arrays with one value a pair.
        split: how the pairs are divided.
        files: how files of speckles are read.
        target_files: how files of targets are read.
        skip: text file that lists images to leave out, see :func:`spt.data.recorded.skipped.read_skipped`.
    """

    root: str | None
    speckle: Arrays | Mapping[str, Arrays]
    target: Arrays | Mapping[str, Arrays]
    numbers: PairArrays = field(default_factory=PairArrays)
    split: Split = field(default_factory=Split)
    files: FileSettings = field(default_factory=FileSettings)
    target_files: FileSettings = field(default_factory=FileSettings)
    skip: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", replace(self.files, prefix="data.source.files."))
        object.__setattr__(self, "target_files", replace(self.target_files, prefix="data.source.target_files."))

    @property
    def folder(self) -> Path:
        """Where relative names begin."""
        return named_folder(self.root) if self.root else Path()

    def find(self) -> tuple[Sequence[FilePair], Sequence[str]]:
        """Open the arrays and pair them by their order."""
        speckle, target = self._named("speckle"), self._named("target")
        if set(speckle) != set(target):
            one = sorted(set(speckle) ^ set(target))[0]
            raise InvalidValue(
                f"data.source.speckle has arrays for {', '.join(speckle)}, data.source.target for {', '.join(target)}. "
                f"Name both for {one}, or none."
            )
        pairs: list[FilePair] = []
        notes: list[str] = []
        unequal: list[Unpaired] = []
        several = len(speckle) > 1
        for name in speckle:
            try:
                found, said = self._part(name if several else None, speckle[name], target[name])
            except Unpaired as error:
                unequal.append(error)
                found, said = error.pairs, []
            pairs += found
            notes += said
        if unequal:
            raise Unpaired(str(unequal[0]), [fault for error in unequal for fault in error.faults], pairs, notes)
        return self._ordered(self._described(pairs)), notes

    def _named(self, side: str) -> dict[str, list[Image]]:
        """The files of each split."""
        value = getattr(self, side)
        parts = value if isinstance(value, Mapping) else {"train": value}
        named = {
            str(name): [self._file(text, side) for text in ([arrays] if isinstance(arrays, str) else arrays)]
            for name, arrays in parts.items()
            if arrays
        }
        if "train" not in named:
            raise InvalidValue(
                f"data.source.{side} is missing: name a file, and behind a colon its array, for example "
                f"data.source.{side}=x.mat:{'XTrain' if side == 'speckle' else 'YTrain'}."
            )
        return named

    def _file(self, text: str, side: str) -> Image:
        path, key = split_key(text)
        path = self.folder / path
        if not path.is_file():
            path, key = split_key(str(self.folder / text))
        if not path.is_file():
            raise MissingFile(f"data.source.{side}: {path} is not there.")
        return Image(path, key)

    def _part(
        self, split: str | None, speckle: Sequence[Image], target: Sequence[Image]
    ) -> tuple[Sequence[FilePair], Sequence[str]]:
        """Pair the images of some files by their order.

        Raises:
            Unpaired: if there are more images of one side; it holds what would be pairs if the surplus were at the end.
        """
        counts = [self.opened.count(one, target[min(k, len(target) - 1)])[0] for k, one in enumerate(speckle)]
        theirs = [len(self.opened.frames("target", one)) for one in target]
        images = [replace(one, row=k) for one, count in zip(speckle, counts, strict=True) for k in range(count)]
        objects = [replace(one, row=k) for one, count in zip(target, theirs, strict=True) for k in range(count)]
        notes = []
        repeated = len(speckle) > 1 and len(images) != len(objects) and set(counts) == {len(objects)}
        if repeated:
            objects = objects * len(speckle)
            notes = [f"Each of {len(speckle)} files of speckles shows all {counts[0]:,} objects: it is a diffuser."]
        files = [one.path.stem for one, count in zip(speckle, counts, strict=True) for _ in range(count)]
        by_file = repeated or self.numbers.diffuser == "file"
        pairs = [
            FilePair(image, target, file if by_file else "", split=split)
            for image, target, file in zip(images, objects, files, strict=False)
        ]
        if len(images) != len(objects):
            said = f"{len(images)} speckles, but {_listed(target)}: {len(objects)} targets"
            message = f"{_listed(speckle)}: {said}. Each speckle needs its target, in the same order."
            raise Unpaired(message, [Fault("speckle", one, said) for one in speckle], pairs)
        return pairs, notes

    def _described(self, pairs: Sequence[FilePair]) -> list[FilePair]:
        """The pairs with what the arrays of values say."""
        numbers, known = self.numbers, list(pairs)
        for name in ("diffuser", "object", "label"):
            text = getattr(numbers, name)
            if text is not None and text != "file":
                values = read_words(text, f"data.source.numbers.{name}", self.folder, len(known))
                changes: list[dict[str, Any]] = [{name: value} for value in values]
                known = [replace(pair, **change) for pair, change in zip(known, changes, strict=True)]
        if numbers.distance is not None:
            distances = read_words(numbers.distance, "data.source.numbers.distance", self.folder, len(known))
            known = [replace(pair, distance=float(value)) for pair, value in zip(known, distances, strict=True)]
        return known

    def _ordered(self, pairs: Sequence[FilePair]) -> Sequence[FilePair]:
        if self.numbers.order is None:
            return pairs
        order = read_numbers(self.numbers.order, "data.source.numbers.order", self.folder)
        if min(order) < 0 or max(order) >= len(pairs):
            raise InvalidValue(
                f"data.source.numbers.order={self.numbers.order} goes from {min(order)} to {max(order)}, but the "
                f"{len(pairs)} pairs are numbered from 0 to {len(pairs) - 1}. MATLAB counts from 1: subtract 1."
            )
        if len(set(order)) < len(order):
            raise InvalidValue(f"data.source.numbers.order={self.numbers.order} names a pair twice.")
        return [pairs[k] for k in order]


def _listed(images: Sequence[Image]) -> str:
    return ", ".join(image.file for image in images)
