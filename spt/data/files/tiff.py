"""TIFF files: 8, 16, 32 bit and float, one or several pages, BigTIFF, ImageJ stacks."""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Shaped
from PIL import Image

from spt.data.files.frames import Frames
from spt.data.files.kept import HANDLES
from spt.data.files.layout import Layout
from spt.data.files.npy import MappedArray, check_length
from spt.data.files.pictures import GREY
from spt.data.files.problems import check_type, reading
from spt.data.files.settings import FileSettings
from spt.data.files.stored import ArrayFrames, StoredArray
from spt.errors import InvalidValue

FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


@dataclass(frozen=True)
class TiffPages(StoredArray):
    """The pages of a TIFF file: compressed, or not one after the other.

    Args:
        title: what messages call the file.
        file: where it lies, or its content.
        shape: pages, then the axes of a page.
        dtype: type of the pixels.
        white_is_zero: whether the file stores black as the highest level.
        by_pillow: whether Pillow reads the pages, which unpacks quicker and knows more compressions.
        changed: when the file was last written.
    """

    title: str
    file: Path | bytes
    shape: tuple[int, ...]
    dtype: np.dtype
    white_is_zero: bool
    by_pillow: bool
    changed: int
    kind = "TIFF"

    @property
    def source(self) -> Path | bytes:
        """The file, or its content."""
        return self.file

    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some pages."""
        with _strict():
            pages = np.stack([self._page(row) for row in rows])
        if pages.shape[1:] != self.shape[1:] or pages.dtype.newbyteorder("=") != self.dtype.newbyteorder("="):
            raise ValueError(f"a page is {pages.dtype} of {pages.shape[1:]}, not {self.dtype} of {self.shape[1:]}")
        return pages

    def _page(self, row: int) -> Shaped[np.ndarray, "..."]:
        if not self.by_pillow:
            pixels = self._handle(_open).pages[row].asarray()
            return FULL[self.dtype] - pixels if self.white_is_zero and self.dtype in FULL else pixels
        picture = self._handle(Image.open)
        picture.seek(row)
        return np.asarray(picture)

    def _handle(self, opened: Callable[[Any], Any]) -> Any:
        if isinstance(self.file, bytes):
            return opened(io.BytesIO(self.file))
        return HANDLES.get((self.file, self.changed), lambda: opened(self.file))


def open_tiff(name: str, source: Path | bytes, settings: FileSettings) -> Frames:
    """Open a TIFF file; its pages are read when they are asked for.

    Args:
        name: what messages call it.
        source: where it lies, or its content.
        settings: which channel of colour images is taken.
    Raises:
        InvalidValue: if it is truncated, of another format, or its pages differ in size.
    """
    with reading(name, "TIFF"), _strict(), _open(_stream(source)) as file:
        if not file.series:
            raise ValueError("no page")
        alike = {(part.axes, part.shape, part.dtype) for part in file.series}
        if len(alike) != 1:
            sizes = ", ".join(f"{part.shape}" for part in file.series[:4])
            raise InvalidValue(f"{name} holds pages of different sizes or types: {sizes}. Save equal ones in one file.")
        series, page = file.series[0], file.pages[0].aspage()
        check_type(name, Path(name), np.dtype(series.dtype), series.shape)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise InvalidValue(f"{name} has a palette of colours. Save grey levels.")
        stored = _mapped(source, file, series, page) if isinstance(source, Path) and len(file.series) == 1 else None
        if stored is not None:
            return ArrayFrames(stored, _layout(series.axes, series.shape), settings)
        return _paged(name, source, file, page, settings)


class _Raised(logging.Handler):
    """Makes an error of what tifffile only logs: of a truncated file it would give fewer pages."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            raise ValueError(record.getMessage())


@contextmanager
def _strict() -> Iterator[None]:
    handler = _Raised()
    logging.getLogger("tifffile").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("tifffile").removeHandler(handler)


def _open(file: Path | io.BytesIO) -> tifffile.TiffFile:
    # The description of OME may name other files, whose pages would then be read here.
    return tifffile.TiffFile(file, is_ome=False)


def _stream(source: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _mapped(
    path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, page: tifffile.TiffPage
) -> MappedArray | None:
    """Pixels that lie one after the other, uncompressed."""
    if series.dataoffset is None or page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return None
    dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
    _, shape = _flattened(series.axes, series.shape)
    check_length(path.stat().st_size - series.dataoffset, shape, dtype)
    return MappedArray(path, str(path), "TIFF", shape, dtype, series.dataoffset)


def _flattened(axes: str, shape: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """Letters and sizes with all axes that only count pages (time, depth, …) as one n."""
    letters = {"Y": "h", "X": "w", "S": "c"}
    counting = [k for k, letter in enumerate(axes) if letter not in letters]
    inner = [k for k, letter in enumerate(axes) if letter in letters]
    if not counting:
        return "".join(letters[axes[k]] for k in inner), tuple(shape)
    if counting != list(range(len(counting))):
        raise ValueError(f"axes {axes} are not known")
    number = prod(shape[k] for k in counting)
    return "n" + "".join(letters[axes[k]] for k in inner), (number, *(shape[k] for k in inner))


def _layout(axes: str, shape: Sequence[int]) -> Layout:
    letters, sizes = _flattened(axes, shape)
    return Layout(letters, (sizes[letters.index("h")], sizes[letters.index("w")]))


def _paged(
    name: str, source: Path | bytes, file: tifffile.TiffFile, page: tifffile.TiffPage, settings: FileSettings
) -> Frames:
    described = sum(prod(part.shape) for part in file.series)
    if described != len(file.pages) * prod(page.shape):
        raise InvalidValue(f"{name} has fewer headers than pages, as ImageJ writes. Unpack it from the zip file first.")
    letters, sizes = _flattened(page.axes, page.shape)
    layout = Layout("n" + letters, (sizes[letters.index("h")], sizes[letters.index("w")]))
    dtype = np.dtype(page.dtype)
    white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    # Pillow exchanges the bytes of compressed 32-bit pixels of big-endian files once too often.
    right = dtype.itemsize <= 2 or file.byteorder == "<"
    known = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK or (white_is_zero and dtype == np.uint8)
    by_pillow = known and right and letters == "hw" and _pillow_reads(source, dtype)
    changed = source.stat().st_mtime_ns if isinstance(source, Path) else 0
    stored = TiffPages(name, source, (len(file.pages), *sizes), dtype, white_is_zero, by_pillow, changed)
    return ArrayFrames(stored, layout, settings)


def _pillow_reads(source: Path | bytes, dtype: np.dtype) -> bool:
    try:
        with Image.open(_stream(source)) as picture:
            return np.dtype(GREY.get(picture.mode, "V1")) == dtype
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
