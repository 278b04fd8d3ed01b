"""TIFF files: 8, 16, 32 bit and float, one or several pages, BigTIFF, ImageJ stacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

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
        path: the file.
        shape: pages, then the axes of a page.
        dtype: type of the pixels.
        white_is_zero: whether the file stores black as the highest level.
        by_pillow: whether Pillow reads the pages, which unpacks quicker and knows more compressions.
        changed: when the file was last written.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    white_is_zero: bool
    by_pillow: bool
    changed: int
    kind = "TIFF"

    @property
    def title(self) -> str:  # type: ignore[override]  # follows from the others
        """The file."""
        return str(self.path)

    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some pages."""
        pages = np.stack([self._page(row) for row in rows])
        if pages.shape[1:] != self.shape[1:] or pages.dtype.newbyteorder("=") != self.dtype.newbyteorder("="):
            raise ValueError(f"a page is {pages.dtype} of {pages.shape[1:]}, not {self.dtype} of {self.shape[1:]}")
        return pages

    def _page(self, row: int) -> Shaped[np.ndarray, "..."]:
        if not self.by_pillow:
            pixels = HANDLES.get((self.path, self.changed), lambda: tifffile.TiffFile(self.path)).pages[row].asarray()
            return FULL[self.dtype] - pixels if self.white_is_zero and self.dtype in FULL else pixels
        picture = HANDLES.get((self.path, self.changed), lambda: Image.open(self.path))
        picture.seek(row)
        return np.asarray(picture)


def open_tiff(path: Path, settings: FileSettings) -> Frames:
    """Open a TIFF file; its pages are read when they are asked for.

    Raises:
        InvalidValue: if it is truncated, of another format, or its pages differ in size.
    """
    with reading(path, "TIFF"), tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            sizes = ", ".join(f"{part.shape}" for part in file.series[:4])
            raise InvalidValue(f"{path} holds pages of different sizes or types: {sizes}. Save equal ones in one file.")
        series, page = file.series[0], file.pages[0].aspage()
        check_type(str(path), path, np.dtype(series.dtype), series.shape)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise InvalidValue(f"{path} has a palette of colours. Save grey levels.")
        mapped = _mapped(path, file, series, page)
        if mapped is not None:
            return ArrayFrames(mapped, _layout(series.axes, series.shape), settings)
        return _paged(path, file, page, settings)


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


def _paged(path: Path, file: tifffile.TiffFile, page: tifffile.TiffPage, settings: FileSettings) -> Frames:
    letters, sizes = _flattened(page.axes, page.shape)
    layout = Layout("n" + letters, (sizes[letters.index("h")], sizes[letters.index("w")]))
    dtype = np.dtype(page.dtype)
    white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    known = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK or (white_is_zero and dtype == np.uint8)
    by_pillow = known and letters == "hw" and _pillow_reads(path, dtype)
    stored = TiffPages(path, (len(file.pages), *sizes), dtype, white_is_zero, by_pillow, path.stat().st_mtime_ns)
    return ArrayFrames(stored, layout, settings)


def _pillow_reads(path: Path, dtype: np.dtype) -> bool:
    try:
        with Image.open(path) as picture:
            return np.dtype(GREY.get(picture.mode, "V1")) == dtype
    except (OSError, ValueError, SyntaxError):
        return False
