"""Data sets of HDF5 files, those of MATLAB v7.3 among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from spt.data.files.kept import HANDLES
from spt.data.files.problems import check_type, memory, reading
from spt.data.files.stored import StoredArray
from spt.errors import InvalidValue

CHUNKS = 32 * 2**20
"""Bytes of unpacked chunks that an open file keeps: neighbouring images often share a chunk."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"
NO_IMAGES = (b"char", b"cell", b"struct", b"function_handle")
"""Classes of MATLAB that are stored as numbers, or as references to numbers, but are no images."""


@dataclass(frozen=True)
class Hdf5Array(StoredArray):
    """A data set of an HDF5 file. Its shape is that of MATLAB where MATLAB wrote it: the file holds the axes reversed.

    Args:
        path: the file.
        key: path of the data set in the file.
        shape: size of every axis.
        dtype: type of the numbers.
        turned: whether MATLAB wrote it.
        chunk: bytes that HDF5 unpacks at once; 0 where the data set is not chunked.
        changed: when the file was last written.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    turned: bool
    chunk: int
    changed: int
    kind = "HDF5"

    @property
    def title(self) -> str:  # type: ignore[override]  # follows from the others
        """File and key."""
        return f"{self.path}:{self.key}"

    def needed(self, axis: int | None) -> int:
        """Bytes that are read for one place along an axis: HDF5 unpacks whole chunks."""
        return max(super().needed(axis), self.chunk)

    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some places along an axis."""
        data = HANDLES.get((self.path, self.key, self.changed), lambda: _Opened(self.path, self.key)).data
        inside = len(self.shape) - 1 - axis if self.turned else axis
        sorted_rows, back = np.unique(np.asarray(rows, int), return_inverse=True)
        # Ranges, one after the other: HDF5 takes a list of rows a hundred times slower.
        runs = np.split(sorted_rows, np.flatnonzero(np.diff(sorted_rows) != 1) + 1)
        parts = [data[(slice(None),) * inside + (slice(int(run[0]), int(run[-1]) + 1),)] for run in runs]
        block = np.concatenate(parts, inside) if len(parts) > 1 else parts[0]
        if len(back) != len(sorted_rows) or (back[1:] < back[:-1]).any():
            block = block.take(back, inside)
        return block.transpose() if self.turned else block


class _Opened:
    """An open data set: HDF5 keeps its unpacked chunks only as long as the data set itself is open."""

    def __init__(self, path: Path, key: str) -> None:
        self.file = open_file(path)
        if self.file[key].id.get_create_plist().get_nfilters() == 0:
            # Nothing to unpack: without a place to keep chunks, HDF5 reads the wanted images alone, many times faster.
            self.file.close()
            self.file = open_file(path, kept=0)
        self.data = self.file[key]

    def close(self) -> None:
        self.file.close()


def open_file(path: Path, kept: int = CHUNKS) -> h5py.File:
    """Open an HDF5 file for reading; file systems that cannot lock are read all the same."""
    return h5py.File(path, "r", locking="best-effort", rdcc_nbytes=kept)


def keys_of_hdf5(path: Path) -> dict[str, tuple[int, ...]]:
    """Paths and shapes of the data sets, those of MATLAB in MATLAB's order.

    Raises:
        InvalidValue: if the file is truncated, of another format, or open for writing elsewhere.
    """
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#") and not _is_no_image(item):
            found[name] = item.shape[::-1] if turned or "MATLAB_class" in item.attrs else item.shape

    with reading(path, "HDF5"), open_file(path) as file:
        turned = _by_matlab(path)
        file.visititems(visit)
    return found


def open_hdf5(path: Path, key: str) -> Hdf5Array:
    """Open one data set; nothing of it is read.

    Raises:
        InvalidValue: if the file is truncated, of another format, open for writing elsewhere, or the data set holds
            no images.
    """
    with reading(path, "HDF5"), open_file(path) as file:
        data = file[key]
        if not isinstance(data, h5py.Dataset) or _is_no_image(data):
            raise InvalidValue(f"{path}:{key} is a group, text or a structure, and images are an array of numbers.")
        turned = _by_matlab(path) or "MATLAB_class" in data.attrs
        shape = data.shape[::-1] if turned else data.shape
        check_type(f"{path}:{key}", path, data.dtype, shape)
        chunk = prod(data.chunks) * data.dtype.itemsize if data.chunks else 0
        return Hdf5Array(path, key, shape, data.dtype, turned, chunk, path.stat().st_mtime_ns)


def read_hdf5(path: Path, key: str) -> Shaped[np.ndarray, "..."]:
    """Read a data set whole, with the axes of MATLAB where MATLAB wrote it; real and imaginary parts become complex.

    Raises:
        InvalidValue: if it cannot be read, or is larger than the memory.
    """
    with reading(f"{path}:{key}", "HDF5"), open_file(path) as file:
        data = file[key]
        if data.nbytes > memory():
            raise InvalidValue(
                f"{path}:{key} holds {data.nbytes / 2**30:.1f} GiB, more than the memory of this machine."
            )
        values = data[...]
        if values.dtype.names == ("real", "imag"):
            values = values["real"] + 1j * values["imag"]
        return values.transpose() if _by_matlab(path) or "MATLAB_class" in data.attrs else values


def _is_no_image(data: h5py.Dataset) -> bool:
    return data.shape is None or data.attrs.get("MATLAB_class") in NO_IMAGES or "MATLAB_empty" in data.attrs


def _by_matlab(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(10) == b"MATLAB 7.3"


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5, at its start or behind the 512 bytes that MATLAB writes first.

    Raises:
        InvalidValue: if it may not be read.
    """
    with reading(path, "HDF5"), path.open("rb") as file:
        start = file.read(520)
    return SIGNATURE in (start[:8], start[512:])
