"""What the sources of recorded pairs share: a table of pairs, files that are read when they are asked for, splits."""

import copy
import logging
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch

from spt.data.files import FileSettings, as_objects
from spt.data.files.frames import Frames, Selected
from spt.data.pairs import Pairs
from spt.data.recorded.numbering import FilePair, numbered
from spt.data.recorded.opened import Opened
from spt.data.recorded.parts import NAMES
from spt.data.recorded.skipped import Skipped, read_skipped
from spt.data.recorded.splits import Split
from spt.data.recorded.table import PairRow, Table, found
from spt.data.source import Source
from spt.errors import InvalidValue, MissingFile

log = logging.getLogger(__name__)


class RecordedPairs(Source):
    """Pairs in a laboratory's own files. A source of this kind defines :attr:`pairs_of_files` and :attr:`folder`."""

    split: Split
    """How the pairs are divided."""
    files: FileSettings
    """How files of speckles are read."""
    target_files: FileSettings
    """How files of targets are read."""
    skip: str | None
    """List of files to leave out."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where relative paths begin."""

    @abstractmethod
    def find(self) -> tuple[Sequence[FilePair], Sequence[str]]:
        """The pairs of files, and sentences for the log."""

    @cached_property
    def table(self) -> Table:
        """Every pair, by image.

        Raises:
            UserError: if the pairs cannot be found; the message names the files.
        """
        pairs, notes = self.find()
        left, out = self.skipped.files_left(pairs)
        rows = self.skipped.left(numbered(left, self.opened.count, [*notes, *out]))
        if not rows.rows:
            raise InvalidValue(f"{self.folder}: no pair is left. data.source.skip lists all of them.")
        return rows

    @cached_property
    def opened(self) -> Opened:
        """The files, each opened once."""
        return Opened(self.files, self.target_files)

    @cached_property
    def skipped(self) -> Skipped:
        """What is left out of the table."""
        return read_skipped(self.skip, self.folder if self.skip else Path())

    def without(self, more: Skipped) -> Self:
        """The same pairs, of the same opened files, without some images beside those that ``skip`` lists."""
        other = copy.copy(self)
        for name in ("table", "splits", "speckles", "targets", "_said"):
            vars(other).pop(name, None)
        vars(other).update(opened=self.opened, skipped=self.skipped | more)
        return other

    @cached_property
    def splits(self) -> list[str | None]:
        """Split of each pair; None for a pair that is left out."""
        return self.split(self.table, self.folder)

    @cached_property
    def speckles(self) -> tuple[Frames, list[int]]:
        """The images of all files of speckles, and the place of each pair's."""
        return self.opened.all_files("speckle", [row.speckle for row in self.table.rows])

    @cached_property
    def targets(self) -> tuple[Frames, list[int], str]:
        """The images of all files of targets as objects, the place of each pair's, and a sentence on their scale."""
        frames, places = self.opened.all_files("target", [row.target for row in self.table.rows])
        objects, said = as_objects(frames, self.target_files.full_scale, "data.source.target_files.full_scale")
        return objects, places, said

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the recorded speckles [px]."""
        return self.speckles[0].shape[1:]

    @property
    def object_size(self) -> tuple[int, int]:
        """Height and width of the objects [px]."""
        return self.targets[0].shape[1:]

    def prepare(self) -> None:
        """Check the names and headers of all files, and say once what was found."""
        _ = self._said

    @cached_property
    def _said(self) -> None:
        depth = str(self.speckles[0].dtype).removeprefix("torch.")
        log.info("%s", found(self.table, self.frame_size, self.object_size, depth, self.splits))
        log.info("%s", self.targets[2])

    def load(self) -> dict[str, Pairs]:
        """The pairs of each split. Their images stay in the files until they are asked for."""
        return {name: self._pairs(name) for name in NAMES if name in self.splits}

    def _pairs(self, name: str) -> Pairs:
        numbers = [k for k, split in enumerate(self.splits) if split == name]
        rows = [self.table.rows[k] for k in numbers]
        (speckles, there), (targets, theirs, _) = self.speckles, self.targets
        return Pairs(
            name,
            Selected(speckles, [there[k] for k in numbers]),
            Selected(targets, [theirs[k] for k in numbers]),
            torch.tensor([row.diffuser for row in rows]),
            _parameters(rows),
        )


def _parameters(rows: Sequence[PairRow]) -> dict[str, torch.Tensor]:
    known = {"object": torch.tensor([row.object for row in rows])}
    distances = [row.distance for row in rows if row.distance is not None]
    if len(distances) == len(rows):
        known["distance"] = torch.tensor(distances)
    return known


def named_folder(root: str | None, setting: str = "data.source.root") -> Path:
    """A folder that a setting names.

    Raises:
        MissingFile: if none is named, or it is not there.
    """
    if not root:
        raise MissingFile(f"{setting} is missing: name the folder that holds your pairs.")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFile(f"{setting}: {folder} is not a folder.")
    return folder
