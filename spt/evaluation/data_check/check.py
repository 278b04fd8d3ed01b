"""Check a set: read everything once, print what is bad, and write the lists that were asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import Progress

from spt.data.files import FileSettings
from spt.data.files.frames import Frames, Selected
from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.data.readers import evenly
from spt.data.recorded.manifest import write_manifest
from spt.data.recorded.skipped import Skipped, write_skipped
from spt.data.recorded.source import RecordedPairs
from spt.data.recorded.table import Image, Table, counted, found
from spt.data.source import Source
from spt.errors import InvalidValue, MissingFile, UserError
from spt.evaluation.data_check.finding import Finding, print_bad
from spt.evaluation.data_check.images import Stack, find_bad
from spt.evaluation.data_check.listing import Listing, folder_of, of_pairs, of_path, of_recorded
from spt.evaluation.data_check.preview import draw
from spt.evaluation.data_check.sentences import SAMPLE, Sentence, of_frames, of_splits


@dataclass(frozen=True)
class Wanted:
    """What a check writes beside its words, and where it becomes strict.

    Args:
        saturated: a speckle with a greater share of pixels at the brightest level is bad.
        manifest: CSV file of the good pairs; None writes none.
        out: list of the bad files; None writes none.
        preview: picture of some pairs; None draws none.
    Raises:
        InvalidValue: if ``saturated`` is no share.
    """

    saturated: float = 0.01
    manifest: str | None = None
    out: str | None = None
    preview: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.saturated <= 1:
            raise InvalidValue(f"saturated must be a share above 0 and up to 1, got {self.saturated}.")


def check_frames(path: str, settings: FileSettings, wanted: Wanted) -> bool:
    """Check frames without objects; whether any is bad.

    Raises:
        MissingFile: if there is no such file or folder.
        InvalidValue: if something is wanted that only pairs have.
    """
    for name in ("manifest", "preview"):
        if getattr(wanted, name):
            raise InvalidValue(f"{name}=… needs pairs, and frames={path} has no objects. Leave it out.")
    listing = of_path(path, settings)
    bad = _read(listing, wanted.saturated, folder_of(path))
    _write_list(bad, wanted.out)
    images = {finding.name for finding in bad}
    good = [
        (stack, row)
        for stack in listing.stacks
        for row, name in zip(stack.rows, stack.names, strict=True)
        if name not in images
    ]
    shown = [_one(*good[k]) for k in evenly(len(good), SAMPLE)]
    name = Path(path).name
    return _finish(bad, of_frames(name, torch.stack(shown), None, wanted.saturated) if shown else [])


def check_pairs(source: Source, preparation: Preparation, wanted: Wanted) -> bool:
    """Check the pairs of a source; whether anything is bad.

    Raises:
        MissingFile: if the folder or the file of the set is not there.
        InvalidValue: if something is wanted that this source does not have.
    """
    if isinstance(source, RecordedPairs):
        return _check_recorded(source, preparation, wanted)
    for name in ("manifest", "out"):
        if getattr(wanted, name):
            raise InvalidValue(
                f"{name}=… needs pairs in files of their own (data=folder, data=arrays and what is built on them). "
                "Leave it out."
            )
    try:
        source.prepare()
        splits = source.load()
    except InvalidValue as error:
        return _finish([], [Sentence(str(error), bad=True)])
    bad = _read(of_pairs(splits), wanted.saturated)
    return _finish(bad, _together(_good(splits, bad), preparation, source.recorded, wanted))


def _check_recorded(source: RecordedPairs, preparation: Preparation, wanted: Wanted) -> bool:
    folder, _ = source.folder, source.skipped  # a wrong setting ends here
    _refuse_overwriting(source, wanted)
    try:
        listing = of_recorded(source)
    except UserError as error:
        if isinstance(error, MissingFile):
            raise  # no folder or no file that a setting names
        return _finish([], [Sentence(str(error), bad=True)])
    bad = _read(listing, wanted.saturated, folder)
    _write_list(bad, wanted.out)
    if not listing.table.rows:
        return _finish(bad, [Sentence(str(listing.unpaired or "No good pair is left."), bad=True)])
    good = source.without(Skipped.of(finding.name for finding in bad if isinstance(finding.name, Image)))
    return _finish(bad, _of_recorded(good, listing.table.notes, preparation, wanted))


def _refuse_overwriting(source: RecordedPairs, wanted: Wanted) -> None:
    """A list that is read must not be replaced by one without what it left out."""
    for name, setting in (("manifest", "manifest"), ("out", "skip")):
        mine, theirs = getattr(wanted, name), getattr(source, setting, None)
        if mine and theirs and Path(mine).resolve() in (Path(theirs).resolve(), (source.folder / theirs).resolve()):
            raise InvalidValue(f"{name}={mine} would replace the file of data.source.{setting}. Name another file.")


def _read(listing: Listing, saturated: float, folder: Path | None = None) -> list[Finding]:
    """Read every image; print and return all that are bad."""
    total = sum(len(stack.rows) for stack in listing.stacks)
    with Progress(transient=True) as progress:
        task = progress.add_task("Reading the images", total=total)
        bad = listing.bad + find_bad(listing.stacks, saturated, lambda count: progress.advance(task, count))
    print(f"{counted(total, 'image')} read.")
    if bad:
        print_bad(bad, folder)
    return bad


def _write_list(bad: Sequence[Finding], out: str | None) -> None:
    if out:
        listed = [(finding.name, finding.problem) for finding in bad if isinstance(finding.name, Image)]
        write_skipped(Path(out), listed)
        print(f"List of {counted(len(listed), 'bad file')}, for data.source.skip: {out}")


def _of_recorded(
    source: RecordedPairs, notes: Sequence[str], preparation: Preparation, wanted: Wanted
) -> Iterator[Sentence]:
    """What is left of recorded pairs without the bad ones."""
    try:
        depth = str(source.speckles[0].dtype).removeprefix("torch.")
        table = Table(source.table.rows, notes)
        yield Sentence(found(table, source.frame_size, source.object_size, depth, source.splits))
        yield Sentence(source.targets[2] + ".")
        splits = source.load()
    except UserError as error:
        yield Sentence(f"Nothing more could be checked: {error}", bad=True)
        return
    if wanted.manifest:
        write_manifest(Path(wanted.manifest), source.table)
        yield Sentence(f"Manifest of {counted(len(source.table), 'good pair')}: {wanted.manifest}")
    yield from _together(splits, preparation, source.recorded, wanted)


def _together(
    splits: Mapping[str, Pairs], preparation: Preparation, recorded: bool, wanted: Wanted
) -> Iterator[Sentence]:
    """Sentences on good pairs, and their picture; what stops them is one more sentence."""
    if not splits:
        yield Sentence("No good pair is left.", bad=True)
        return
    try:
        yield from of_splits(splits, recorded, wanted.saturated)
        if wanted.preview:
            first = splits.get("train", next(iter(splits.values())))
            yield Sentence(f"Preview: {draw(first, preparation, Path(wanted.preview))}")
    except UserError as error:
        yield Sentence(str(error), bad=True)


def _finish(bad: Sequence[Finding], sentences: Iterable[Sentence]) -> bool:
    """Print the sentences; whether anything is bad."""
    wrong = bool(bad)
    for sentence in sentences:
        print(f"Bad: {sentence.text}" if sentence.bad else sentence.text)
        wrong = wrong or sentence.bad
    if not wrong:
        print("Nothing bad was found.")
    return wrong


def _good(splits: Mapping[str, Pairs], bad: Sequence[Finding]) -> dict[str, Pairs]:
    """The splits without their bad pairs."""
    if not bad:
        return dict(splits)
    named, kept = {finding.name for finding in bad}, {}
    for split, pairs in splits.items():
        speckles, objects = of_pairs({split: pairs}).stacks
        both = zip(speckles.names, objects.names, strict=True)
        rows = [row for row, names in enumerate(both) if named.isdisjoint(names)]
        if rows:
            parameters = {name: values[rows] for name, values in pairs.parameters.items()}
            speckle, target = (_some(images, rows) for images in (pairs.speckle, pairs.target))
            kept[split] = replace(
                pairs, speckle=speckle, target=target, diffuser=pairs.diffuser[rows], parameters=parameters
            )
    return kept


def _some(images: torch.Tensor | Frames, rows: Sequence[int]) -> torch.Tensor | Frames:
    return Selected(images, rows) if isinstance(images, Frames) else images[list(rows)]


def _one(stack: Stack, row: int) -> torch.Tensor:
    return stack.frames[row].float()
