"""Open a file or a folder as frames: the one way to images in files."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from spt.data.files.frames import Frames, Joined
from spt.data.files.hdf5_arrays import keys_of_hdf5, open_hdf5
from spt.data.files.layout import find_layout
from spt.data.files.matlab import keys_of_matlab, open_matlab
from spt.data.files.names import ARRAYS, HDF5, PICTURES, RAW, TIFF, expanded, is_hidden, natural_key
from spt.data.files.npy import open_npy, open_raw
from spt.data.files.npz import keys_of_npz, open_npz
from spt.data.files.pictures import PictureFile
from spt.data.files.problems import check_there, reading, unknown_format
from spt.data.files.settings import FileSettings
from spt.data.files.stored import ArrayFrames, StoredArray
from spt.data.files.tiff import open_tiff
from spt.data.readers import evenly
from spt.errors import InvalidValue, MissingFile, MissingName

log = logging.getLogger(__name__)

Keys = Callable[[Path], dict[str, tuple[int, ...]]]
Opener = Callable[[Path, str], StoredArray]
CONTAINERS: dict[str, tuple[Keys, Opener]] = {
    ".npz": (keys_of_npz, open_npz),
    ".mat": (keys_of_matlab, open_matlab),
    **dict.fromkeys(HDF5, (keys_of_hdf5, open_hdf5)),
}
"""Formats that hold several arrays: how their names are listed, and how one is opened."""
DEFAULT = FileSettings()
LISTED = 12


def open_frames(
    path: Path, key: str | None = None, settings: FileSettings = DEFAULT, partner: int | None = None
) -> Frames:
    """Open the images of one file. Only headers are read until an image is asked for.

    Args:
        path: a picture, or a file of arrays, see ``docs/data.md``.
        key: name of the array in a file that can hold several; needed where several may be meant.
        settings: what the file alone does not say.
        partner: number of images of the array that belongs to it, which helps to tell the axes apart.
    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it cannot be read, or may be read in several ways; the message says what to set.
        MissingName: if it holds no array of this name; the message lists those that are there.
    """
    frames, said = _open(expanded(path), key, settings, partner)
    if said:
        log.info("%s.", said)
    return frames


def open_picture(name: str, content: bytes, settings: FileSettings = DEFAULT) -> Frames:
    """Open a picture whose bytes are at hand, as those of a member of a zip file.

    Args:
        name: what messages call it.
        content: the bytes.
        settings: which channel of a colour picture is taken.
    Raises:
        InvalidValue: if it is no picture, or has colours that no setting reduces.
    """
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return open_tiff(name, content, settings)
    return PictureFile(name, content, settings)


def open_folder(folder: Path, settings: FileSettings = DEFAULT, limit: int | None = None) -> Frames:
    """Open all files of a folder as one set, in the order of their names, 2 before 10.

    Args:
        folder: hidden files and files of other kinds are left out; sub-folders are not entered.
        settings: what the files alone do not say.
        limit: at most so many files, evenly spread; the others are not opened.
    Raises:
        MissingFile: if there is no such folder, or no file in it that can be read.
        InvalidValue: if a file cannot be read, or differs from the first in size or type.
    """
    folder = expanded(folder)
    files = files_of(folder, settings)
    opened = [_open(files[k], None, settings, None) for k in evenly(len(files), limit)]
    if opened[0][1]:
        log.info("%s.", opened[0][1])
    return Joined([frames for frames, _ in opened])


def files_of(folder: Path, settings: FileSettings = DEFAULT) -> list[Path]:
    """Files of a folder that can be read, in the order of their names.

    Raises:
        MissingFile: if there is no such folder, or no such file in it.
    """
    with reading(folder, "a folder"):
        if not folder.is_dir():
            raise MissingFile(f"{folder} is not a folder. Check the path.")
        found = visible(folder.iterdir(), settings)
    if not found:
        raise MissingFile(f"{folder} holds no {', '.join(_suffixes(settings))} file.")
    return found


def visible(paths: Iterable[Path], settings: FileSettings = DEFAULT) -> list[Path]:
    """Those files that can be read, without the hidden ones, in the order of their names."""
    suffixes = _suffixes(settings)
    known = [path for path in paths if path.suffix.lower() in suffixes and not is_hidden(path.name)]
    return sorted(known, key=natural_key)


def keys_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays of a file; empty for a file that holds only one.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it cannot be read.
    """
    path = expanded(path)
    check_there(path)
    container = CONTAINERS.get(path.suffix.lower())
    return container[0](path) if container else {}


def _suffixes(settings: FileSettings) -> Sequence[str]:
    return PICTURES + ARRAYS + (RAW if settings.dtype else ())


def _open(path: Path, key: str | None, settings: FileSettings, partner: int | None) -> tuple[Frames, str]:
    check_there(path)
    suffix = path.suffix.lower()
    if key is not None and suffix not in CONTAINERS:
        raise InvalidValue(
            f"{path} holds one array without a name, but {path.name}:{key} asks for {key!r}. Leave it out."
        )
    if suffix in TIFF:
        return open_tiff(str(path), path, settings), ""
    if suffix in PICTURES:
        return PictureFile(str(path), path, settings), ""
    stored = _stored(path, suffix, key, settings)
    if suffix in RAW:
        settings = FileSettings("rows", settings.shape, settings.order, prefix=settings.prefix)
    layout = find_layout(stored.title, stored.shape, settings, partner, suffix == ".mat")
    return ArrayFrames(stored, layout, settings), layout.said


def _stored(path: Path, suffix: str, key: str | None, settings: FileSettings) -> StoredArray:
    if suffix == ".npy":
        return open_npy(path)
    if suffix in RAW:
        return open_raw(path, settings)
    if suffix not in CONTAINERS:
        raise unknown_format(path)
    keys, opened = CONTAINERS[suffix]
    return opened(path, _chosen(path, keys(path), key))


def _chosen(path: Path, shapes: dict[str, tuple[int, ...]], key: str | None) -> str:
    """Name of the array that is meant: the one that is named, or the only one that can be images."""
    images = [name for name, shape in shapes.items() if len(shape) >= 2 and min(shape) > 0 and max(shape) > 1]
    listed = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:LISTED])
    listed += f", … ({len(shapes)} in all)" if len(shapes) > LISTED else ""
    if key is not None:
        if key.strip("/") not in shapes:
            raise MissingName(f"{path} holds no array {key!r}, only {listed or 'none at all'}.")
        return key.strip("/")
    if len(images) == 1:
        return images[0]
    if not images:
        raise InvalidValue(f"{path} holds no images, only {listed or 'nothing'}.")
    raise InvalidValue(
        f"{path} holds several arrays: {listed}. Name one after a colon, such as {path.name}:{images[0]}."
    )
