"""Bad files that a laboratory wants to leave out, listed in a text file."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from spt.data.files.names import split_key
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.table import Image, Table, counted
from spt.errors import MissingFile
from spt.files import atomic


@dataclass(frozen=True)
class Skipped:
    """What is left out.

    Args:
        files: whole files.
        images: single images: file, key, and number in the file.
    """

    files: frozenset[Path] = frozenset()
    images: frozenset[tuple[Path, str | None, int]] = frozenset()

    @classmethod
    def of(cls, listed: Iterable[Image]) -> Self:
        """Some images, and whole files where no number is given."""
        named = [(image.path.absolute(), image.key, image.row) for image in listed]
        whole = frozenset(path for path, _, row in named if row is None)
        return cls(whole, frozenset((path, key, row) for path, key, row in named if row is not None))

    def __or__(self, other: "Skipped") -> "Skipped":
        return Skipped(self.files | other.files, self.images | other.images)

    def holds(self, image: Image) -> bool:
        """Whether an image is listed, or its whole file."""
        path = image.path.absolute()
        return path in self.files or (image.row is not None and (path, image.key, image.row) in self.images)

    def files_left(self, pairs: Sequence[FilePair]) -> tuple[list[FilePair], list[str]]:
        """Pairs of files of which neither is listed, and a note that says how many are left out."""
        left = [pair for pair in pairs if not self.holds(pair.speckle) and not self.holds(pair.target)]
        return left, _note(len(pairs) - len(left))

    def left(self, table: Table) -> Table:
        """Pairs of which neither image is listed; a note says how many are left out."""
        rows = [row for row in table.rows if not self.holds(row.speckle) and not self.holds(row.target)]
        return Table(rows, [*table.notes, *_note(len(table) - len(rows))])


def _note(out: int) -> list[str]:
    return [f"Left out as data.source.skip lists their images: {counted(out, 'pair')}."] if out else []


def read_skipped(name: str | None, root: Path) -> Skipped:
    """Read a list of files to leave out.

    A line names a file, or one image of a file as ``stack.tif[12]`` or ``x.mat:XTrain[12]``, counted from 0. Lines
    that begin with ``#`` are for notes. Relative paths begin at ``root``.

    Raises:
        MissingFile: if there is no such list.
    """
    if name is None:
        return Skipped()
    path = Path(name).expanduser()
    path = path if path.is_file() else root / path
    if not path.is_file():
        raise MissingFile(f"data.source.skip: {path} is not there.")
    files, images = set(), set()
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = re.fullmatch(r"(.*)\[(\d+)\]", text)
        file, key = split_key(found[1] if found else text)
        if found:
            images.add(((root / file).absolute(), key, int(found[2])))
        else:
            files.add((root / file).absolute())
    return Skipped(frozenset(files), frozenset(images))


def write_skipped(path: Path, listed: Iterable[tuple[Image, str]]) -> None:
    """Write a list that :func:`read_skipped` reads: full paths, and above each why it is there.

    Raises:
        OSError: if the file cannot be written.
    """
    lines = ["# Bad files, found by scripts/check_data.py. data.source.skip=<this file> leaves them out."]
    for image, why in listed:
        name = str(image.path.absolute()) + (f":{image.key}" if image.key else "")
        lines += [f"# {' '.join(why.split())}", name if image.row is None else f"{name}[{image.row}]"]
    with atomic(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
