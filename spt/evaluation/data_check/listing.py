"""What is checked: the images of recorded pairs, of pairs of any other source, or of frames without objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spt.data.files import FileSettings, files_of, open_frames, split_key
from spt.data.files.frames import Frames
from spt.data.files.problems import check_there
from spt.data.pairs import Pairs
from spt.data.recorded.numbering import FilePair, numbered
from spt.data.recorded.source import RecordedPairs
from spt.data.recorded.table import Image, Table
from spt.data.recorded.unpaired import Unpaired
from spt.errors import UserError
from spt.evaluation.data_check.finding import Finding, Name, Side, reason
from spt.evaluation.data_check.images import Stack

SIDES: tuple[Side, ...] = ("speckle", "target")


@dataclass
class Listing:
    """Images to read.

    Args:
        stacks: the images whose files could be opened.
        bad: files that could not, and files that belong to no pair.
        table: the pairs of both kinds of files that could be opened; empty where there is none.
        unpaired: the error of files that belong to no pair.
    """

    stacks: list[Stack] = field(default_factory=list)
    bad: list[Finding] = field(default_factory=list)
    table: Table = field(default_factory=lambda: Table([]))
    unpaired: Unpaired | None = None


def of_recorded(source: RecordedPairs) -> Listing:
    """Open every file of recorded pairs; one that cannot be opened, or belongs to no pair, stops nothing.

    Raises:
        UserError: if the pairs cannot be found at all.
    """
    listing, bad = Listing(), dict[tuple[Side, str], Finding]()
    try:
        pairs, notes = source.find()
    except Unpaired as error:
        listing.unpaired, pairs, notes = error, error.pairs, error.notes
        listing.bad += [Finding(fault.side, fault.image, fault.problem) for fault in error.faults]
    left, out = source.skipped.files_left(pairs)
    usable = [pair for pair in left if _opens(source, pair, bad)]
    listing.bad += bad.values()
    if usable:
        listing.table = source.skipped.left(numbered(usable, source.opened.count, [*notes, *out]))
    for side in SIDES:
        listing.stacks += _stacks(source, side, [getattr(row, side) for row in listing.table.rows], listing.bad)
    return listing


def _opens(source: RecordedPairs, pair: FilePair, bad: dict[tuple[Side, str], Finding]) -> bool:
    """Whether both files of a pair can be opened and hold as many images as they should."""
    images = {side: replace(getattr(pair, side), row=None) for side in SIDES}
    if any((side, image.file) in bad for side, image in images.items()):
        return False
    try:
        source.opened.count(pair.speckle, pair.target)
        for side, image in images.items():
            source.opened.frames(side, image)
        numbered([pair], source.opened.count)
        return True
    except UserError as error:
        found = {}
        for side, image in images.items():
            try:
                source.opened.frames(side, image)
            except UserError as own:
                found[side, image.file] = Finding(side, image, reason(own, str(image.path)))
        mismatch = Finding("speckle", images["speckle"], reason(error, str(images["speckle"].path)))
        bad.update(found or {("speckle", images["speckle"].file): mismatch})
        return False


def _stacks(source: RecordedPairs, side: Side, images: Sequence[Image], bad: list[Finding]) -> list[Stack]:
    """The images file by file, each once; one that is not in its file is bad."""
    files: dict[str, list[Image]] = {}
    for image in dict.fromkeys(images):
        files.setdefault(image.file, []).append(image)
    stacks = []
    for inside in files.values():
        frames = source.opened.frames(side, inside[0])
        there = [image for image in inside if (image.row or 0) < len(frames)]
        bad += [
            Finding(side, image, f"the file holds {len(frames)} images, counted from 0")
            for image in inside
            if (image.row or 0) >= len(frames)
        ]
        if there:
            stacks.append(Stack(side, frames, [image.row or 0 for image in there], there))
    return stacks


def of_pairs(splits: Mapping[str, Pairs]) -> Listing:
    """The images of splits that a source has loaded."""
    stacks = []
    for pairs in splits.values():
        rows = range(len(pairs))
        stacks.append(Stack("speckle", pairs.speckle, rows, [pairs.where(row) for row in rows]))
        target = pairs.target
        names = [target.name(k) if isinstance(target, Frames) else f"object of {pairs.where(k)}" for k in rows]
        stacks.append(Stack("target", target, rows, names))
    return Listing(stacks)


def of_path(path: str, settings: FileSettings) -> Listing:
    """The frames of a file or a folder; one that cannot be opened stops nothing.

    Raises:
        MissingFile: if there is no such path, or no such file in the folder.
    """
    file, key = split_key(path)
    if not file.is_dir():
        check_there(file)
    listing = Listing()
    for image in [Image(each) for each in files_of(file, settings)] if file.is_dir() else [Image(file, key)]:
        try:
            frames = open_frames(image.path, image.key, settings)
        except UserError as error:
            listing.bad.append(Finding("speckle", image, reason(error, str(image.path))))
            continue
        several = len(frames) > 1
        names: list[Name] = [replace(image, row=k) if several else image for k in range(len(frames))]
        listing.stacks.append(Stack("speckle", frames, range(len(frames)), names))
    return listing


def folder_of(path: str) -> Path:
    """The folder that a path names, or in which its file lies."""
    file, _ = split_key(path)
    return file if file.is_dir() else file.parent
