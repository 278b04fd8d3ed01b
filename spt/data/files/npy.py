"""Numbers one after the other: ``.npy``, uncompressed members of ``.npz``, raw binary."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped

from spt.data.files.problems import check_type, reading
from spt.data.files.settings import FileSettings
from spt.data.files.stored import StoredArray
from spt.errors import InvalidValue


@dataclass(frozen=True)
class MappedArray(StoredArray):
    """An array whose numbers lie one after the other in a file: it is mapped for as long as it is read.

    Args:
        path: the file.
        title: what messages call it.
        kind: name of the format.
        shape: size of every axis.
        dtype: type of the numbers, of either byte order.
        offset: place of the first number [bytes].
        fortran: whether the first axis, not the last, runs fastest.
    """

    path: Path
    title: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    fortran: bool = False

    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some places along an axis."""
        mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F" if self.fortran else "C")
        return np.asarray(mapped[(slice(None),) * axis + (list(rows),)])


def open_npy(path: Path) -> MappedArray:
    """Open an ``.npy`` file; only its header is read.

    Raises:
        InvalidValue: if it is truncated, of another format, or holds no numbers.
    """
    with reading(path, ".npy"):
        with path.open("rb") as file:
            shape, fortran, dtype = read_header(file)
            offset = file.tell()
        check_type(str(path), path, dtype, shape)
        check_length(path.stat().st_size - offset, shape, dtype)
    return MappedArray(path, str(path), ".npy", shape, dtype, offset, fortran)


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis runs fastest, and type of an ``.npy`` stream, which is then at the numbers."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    if version != (3, 0):
        raise ValueError(f"version {version} of .npy is not known")
    header = ast.literal_eval(file.read(int.from_bytes(file.read(4), "little")).decode("utf8"))
    return header["shape"], header["fortran_order"], np.lib.format.descr_to_dtype(header["descr"])


def check_length(there: int, shape: Sequence[int], dtype: np.dtype) -> None:
    """Refuse a file that holds fewer numbers than its header says.

    Raises:
        ValueError: which :func:`spt.data.files.problems.reading` turns into a sentence with the file's name.
    """
    if there < prod(shape) * dtype.itemsize:
        raise ValueError(f"{prod(shape) * dtype.itemsize} bytes for shape {tuple(shape)} of {dtype}, but {there} there")


def open_raw(path: Path, settings: FileSettings) -> MappedArray:
    """Open a file of pixels without a header: one row of pixels for every image.

    Raises:
        InvalidValue: if the settings do not say type and shape, or do not fit the file's length.
    """
    prefix = settings.prefix
    if settings.dtype is None or settings.shape is None:
        raise InvalidValue(
            f"{path} holds pixels without a description. Set {prefix}dtype (u1 is 8 bit; <u2 is 16 bit, "
            f"little-endian), {prefix}shape=[height,width] and, if it begins with a header, {prefix}offset in bytes."
        )
    dtype = np.dtype(settings.dtype)
    height, width = settings.shape
    with reading(path, "raw pixels"):
        there = path.stat().st_size - settings.offset
    number, rest = divmod(there, height * width * dtype.itemsize)
    if number < 1 or rest:
        raise InvalidValue(
            f"{path} holds {there} bytes after {prefix}offset={settings.offset}, which are not a whole number of "
            f"images of {height}x{width} px and {dtype.itemsize} bytes a pixel. Correct dtype, shape or offset; files "
            "with other bytes between the images must be converted to .npy (numpy.fromfile, numpy.save)."
        )
    return MappedArray(path, str(path), "raw pixels", (number, height * width), dtype, settings.offset)
