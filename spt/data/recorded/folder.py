"""Pairs in folders of a laboratory, or in a list of files."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spt.data.files import FileSettings
from spt.data.recorded.discovery import find_pairs
from spt.data.recorded.manifest import read_manifest
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.source import RecordedPairs, named_folder
from spt.data.recorded.splits import Split
from spt.errors import InvalidValue


@dataclass(frozen=True)
class FolderPairs(RecordedPairs):
    """Pairs of files below a folder, or of files that a manifest lists.

    Args:
        root: the folder; with a manifest it may be left out.
        speckle: pattern of the speckles' names, see :mod:`spt.data.recorded.patterns`; None finds them by words.
        target: pattern of the targets' names; None finds them by words.
        manifest: CSV file that lists the pairs, see :mod:`spt.data.recorded.manifest`.
        split: how the pairs are divided.
        files: how files of speckles are read.
        target_files: how files of targets are read.
        skip: text file that lists files to leave out, see :func:`spt.data.recorded.skipped.read_skipped`.
    Raises:
        InvalidValue: if a manifest and a pattern are both given.
    """

    root: str | None
    speckle: str | None = None
    target: str | None = None
    manifest: str | None = None
    split: Split = field(default_factory=Split)
    files: FileSettings = field(default_factory=FileSettings)
    target_files: FileSettings = field(default_factory=FileSettings)
    skip: str | None = None

    def __post_init__(self) -> None:
        if self.manifest and (self.speckle or self.target):
            raise InvalidValue(
                "data.source.manifest lists the pairs, and data.source.speckle or data.source.target says how to find "
                "them. Set one of the two."
            )
        object.__setattr__(self, "files", replace(self.files, prefix="data.source.files."))
        object.__setattr__(self, "target_files", replace(self.target_files, prefix="data.source.target_files."))

    @property
    def folder(self) -> Path:
        """The folder, or that of the manifest."""
        if self.manifest:
            return self._manifest.parent
        return named_folder(self.root)

    @property
    def _manifest(self) -> Path:
        path = Path(self.manifest or "").expanduser()
        return path if path.is_file() or not self.root else Path(self.root).expanduser() / path

    def find(self) -> tuple[Sequence[FilePair], Sequence[str]]:
        """Read the manifest, or search the folder."""
        if self.manifest:
            return read_manifest(self._manifest, self.skipped), [f"Pairs as listed in {self._manifest}."]
        return find_pairs(self.folder, self.speckle, self.target, self.skipped.files)
