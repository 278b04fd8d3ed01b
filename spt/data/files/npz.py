"""Arrays of an ``.npz`` file: stored ones are mapped, compressed ones are unpacked once in each process."""

import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from spt.data.files.kept import BOUND, WHOLE
from spt.data.files.npy import MappedArray, check_length, read_header
from spt.data.files.problems import check_type, reading
from spt.data.files.stored import StoredArray
from spt.errors import InvalidValue

LOCAL_HEADER = 30
"""Bytes of a zip's local header before the name: lengths of name and extra field are its last four."""


@dataclass(frozen=True)
class WholeArray(StoredArray):
    """An array that its format gives only whole. A process reads it once and keeps it, up to 2 GiB in all.

    Args:
        path: the file.
        key: of the array.
        kind: name of the format.
        shape: size of every axis.
        dtype: type of the numbers.
        changed: when the file was last written, so that a new one is read anew.
    Raises:
        InvalidValue: if it is larger than 2 GiB.
    """

    path: Path
    key: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype
    changed: int

    def __post_init__(self) -> None:
        if self.needed(None) > BOUND:
            raise InvalidValue(
                f"{self.title} is {self.needed(None) / 2**30:.1f} GiB that can only be unpacked whole, and up to "
                f"{BOUND / 2**30:.0f} GiB are kept in memory. Convert it once: numpy.save of the array, or in MATLAB "
                "save with '-v7.3'."
            )

    @property
    def title(self) -> str:  # type: ignore[override]  # follows from the others
        """File and key."""
        return f"{self.path}:{self.key}"

    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some places along an axis."""
        key = (self.path, self.key, self.changed)
        return WHOLE.get(key, self.unpack)[(slice(None),) * axis + (list(rows),)]

    @abstractmethod
    def unpack(self) -> Shaped[np.ndarray, "..."]:
        """Read the array from the file."""


class PackedArray(WholeArray):
    """A compressed array of an ``.npz`` file."""

    def unpack(self) -> Shaped[np.ndarray, "..."]:
        """Read the array from the file."""
        with np.load(self.path, allow_pickle=False) as archive:
            return archive[self.key]


def keys_of_npz(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays.

    Raises:
        InvalidValue: if the file is truncated, or of another format.
    """
    with reading(path, ".npz"), zipfile.ZipFile(path) as archive:
        shapes = {}
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    shapes[member.filename.removesuffix(".npy")] = read_header(stream)[0]  # type: ignore[arg-type]
        return shapes


def open_npz(path: Path, key: str) -> StoredArray:
    """Open one array; only its header is read.

    Raises:
        InvalidValue: if it is truncated, of another format, or holds no numbers.
    """
    title = f"{path}:{key}"
    with reading(path, ".npz"), zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{key}.npy")
        with archive.open(member) as stream:
            shape, fortran, dtype = read_header(stream)  # type: ignore[arg-type]  # a stream of bytes like any other
            header = stream.tell()
        check_type(title, path, dtype, shape)
        check_length(member.file_size - header, shape, dtype)
        if member.compress_type != zipfile.ZIP_STORED:
            return PackedArray(path, key, ".npz", shape, dtype, path.stat().st_mtime_ns)
        offset = _place(path, member.header_offset) + header
        check_length(path.stat().st_size - offset, shape, dtype)
        return MappedArray(path, title, ".npz", shape, dtype, offset, fortran)


def _place(path: Path, header: int) -> int:
    """Where the bytes of a stored member begin."""
    with path.open("rb") as file:
        file.seek(header + LOCAL_HEADER - 4)
        return header + LOCAL_HEADER + sum(int.from_bytes(file.read(2), "little") for _ in range(2))
