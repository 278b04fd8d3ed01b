"""One file to one array, with an error that names the file when it is not what was expected."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageSequence, UnidentifiedImageError

from spt.errors import InvalidValue, MissingFile, MissingName

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    TokenError,
    SyntaxError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    OSError,
)
"""What numpy raises for a file that is truncated, of another format, or holds Python objects."""


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read named arrays of an ``.npz`` file, in the byte order of this machine.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if the file is truncated, of another format, or holds Python objects.
        MissingName: if an array is missing; the message lists those that are there.
    """
    if not path.is_file():
        raise MissingFile(f"{path} is not there. Check the path (data.source.root, SPT_DATA).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise MissingName(f"{path} holds no array {missing[0]!r}, only {sorted(archive)}.")
            return {name: native(archive[name]) for name in names}
    except UNREADABLE as error:
        raise InvalidValue(
            f"{path} cannot be read as .npz: truncated, or another format ({error}). Restore or delete the file."
        ) from error


def open_npy(path: Path) -> np.ndarray:
    """Open an ``.npy`` file; what is not asked for is not read.

    Raises:
        InvalidValue: if the file is truncated, of another format, or holds Python objects.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as error:
        raise InvalidValue(f"{path} cannot be read as .npy: truncated, or another format ({error}).") from error


def read_picture(name: str, file: Path | bytes, grey: bool = False) -> Shaped[np.ndarray, "pages h w"]:
    """Read every page of a picture, in its own grey levels.

    Args:
        name: what messages call the file.
        file: where it lies, or its content.
        grey: turn colours into grey, as the eye sees them (Rec. 601), instead of refusing them.
    Returns:
        bool, uint8, uint16, int32 or float32, as the file holds them.
    Raises:
        InvalidValue: if it is no picture, is truncated, has pages of different sizes, or colours that are refused.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
            pages = [_page(name, page, picture.format, grey) for page in ImageSequence.Iterator(picture)]
        return np.stack(pages)
    except InvalidValue:
        raise
    except (*UNREADABLE, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InvalidValue(f"{name} cannot be read as a picture: truncated, or another format ({error}).") from error


def _page(name: str, page: Image.Image, kind: str | None, grey: bool) -> np.ndarray:
    if page.mode not in ("1", "L", "I", "F") and not page.mode.startswith("I;16"):
        if not grey:
            raise InvalidValue(
                f"{name} is a colour picture ({page.mode}). Save frames with one channel of grey levels."
            )
        page = page.convert("L")
    pixels = native(np.asarray(page))
    # Pillow opens some 16-bit PNG files as 32-bit integers.
    return pixels.astype(np.uint16) if page.mode == "I" and kind == "PNG" else pixels


def native(array: np.ndarray) -> np.ndarray:
    """The array in the byte order of this machine, which torch needs."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def evenly(count: int, most: int | None) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly spread, first and last among them."""
    if most is None or most >= count:
        return list(range(count))
    return np.linspace(0, count - 1, most).round().astype(int).tolist()


def check_intensities(speckle: Shaped[np.ndarray, "n h w"], path: Path | str) -> None:
    """Refuse frames that hold what no camera records.

    Raises:
        InvalidValue: if a frame holds NaN, infinity or a negative value; file and frames are named.
    """
    if speckle.dtype.kind in "ub":
        return
    bad = ~(np.isfinite(speckle) & (speckle >= 0)).all((1, 2))
    if bad.any():
        first = bad.nonzero()[0][:8].tolist()
        raise InvalidValue(
            f"{path}: frame(s) {', '.join(map(str, first))}{', …' if bad.sum() > 8 else ''} (counted from 0) hold NaN, "
            "infinity or negative intensities. Leave these frames out, or set negative values to 0."
        )


def data_folder(root: str | None, name: str, key: str) -> Path:
    """The folder of a measured data set, which is not part of the repository.

    Args:
        root: the folder, or None where nothing says where the data lie.
        name: the folder's name under SPT_DATA.
        key: the setting that names the folder.
    Raises:
        MissingFile: if it is not there; the message says what to set.
    """
    if not root:
        raise MissingFile(
            f"measured data are not part of the repository. Set the environment variable SPT_DATA to the folder that "
            f"holds {name}/, or {key} to that folder itself."
        )
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFile(f"{folder} is not a folder. Set SPT_DATA, or {key}, to where the data lie.")
    return folder
