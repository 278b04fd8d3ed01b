"""Images from files: a folder or zip of pictures, arrays, or MNIST's idx; idx and ``.npy`` also as ``.gz``."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.files import ARRAYS, PICTURES, FileSettings, open_frames, open_picture, read_array
from spt.data.files.levels import SAMPLE, divided, find_full_scale, levels_of
from spt.data.files.names import is_hidden
from spt.data.files.pixels import to_pixels
from spt.data.files.problems import check_memory
from spt.data.readers import evenly
from spt.errors import InvalidValue, MissingFile

WHITE = "data.source.objects.white"
"""Setting of the grey level that is white."""
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True)
class Item:
    """One image, read when it is asked for.

    Args:
        name: file, or file and row, for messages.
        label: its class; empty where there are none.
        content: reads the file's bytes or the array.
    """

    name: str
    label: str
    content: Callable[[], bytes | np.ndarray]


def list_images(
    path: Path, images: str | None = None, labels: str | None = None, axes: str | None = None
) -> list[Item]:
    """List the images of a folder or file in a fixed order.

    Args:
        path: folder or zip of pictures (sub-folders are classes), file of arrays, or idx file, also as ``.gz``.
        images: key of the images in a file of several arrays.
        labels: key of the labels in such a file; else an idx or ``.npy`` file beside ``path``.
        axes: meaning of the axes of an array, where its shape leaves a doubt.
    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it holds no images, or the labels do not belong to them.
    """
    if path.is_dir():
        files = {
            str(p.relative_to(path).as_posix()): p.read_bytes for p in sorted(path.rglob("*")) if _is_picture(p.name)
        }
        return _pictures(path, files)
    if not path.is_file():
        raise MissingFile(f"{path} is not there. Check data.source.objects.path and SPT_DATA.")
    if path.suffix.lower() == ".zip":
        archive = _open_zip(path)
        names = sorted(name for name in archive.namelist() if _is_picture(PurePosixPath(name).name))
        return _pictures(path, {name: partial(_member, archive, path, name) for name in names})
    beside = labels is not None and (path.suffix.lower() not in ARRAYS or path.suffix.lower() == ".npy")
    classes = None if labels is None else read_plain(path.parent / labels) if beside else read_array(path, labels)
    return _rows(path, _array(path, images, axes) if path.suffix.lower() in ARRAYS else read_plain(path), classes)


def _array(path: Path, key: str | None, axes: str | None) -> np.ndarray:
    """The images of a file of arrays: sets of objects are small enough for the memory."""
    frames = open_frames(path, key, FileSettings(axes, prefix="data.source.objects."))
    check_memory(str(path), 1, prod(frames.shape) * frames.dtype.itemsize)
    return frames[:].numpy()


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES) and not is_hidden(name)


def _pictures(path: Path, files: dict[str, Callable[[], bytes]]) -> list[Item]:
    if not files:
        raise InvalidValue(f"{path} holds no pictures ({', '.join(PICTURES)}).")
    top = os.path.commonpath([str(PurePosixPath(name).parent) for name in files]) if len(files) > 1 else ""
    folders = {name: PurePosixPath(name).relative_to(top).parts[:-1] for name in files}
    return [Item(f"{path}/{name}", folders[name][0] if folders[name] else "", read) for name, read in files.items()]


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidValue(f"{path} cannot be read as .zip: {error}. Restore the file.") from error


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise InvalidValue(f"{path}/{name} cannot be unpacked: {error}.") from error


def _rows(path: Path, images: np.ndarray, labels: np.ndarray | None) -> list[Item]:
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3 or len(images) == 0:
        raise InvalidValue(f"{path}: expected images of shape (n, h, w) or (n, h, w, 1), got {images.shape}.")
    if labels is not None:
        labels = labels.squeeze() if labels.ndim == 2 else labels  # MATLAB has no array of one axis
    if labels is not None and labels.shape != images.shape[:1]:
        raise InvalidValue(f"{path}: {len(images)} images, but labels of shape {labels.shape}.")
    names: Iterable[str] = [""] * len(images) if labels is None else [str(label) for label in labels]
    return [Item(f"{path}[{k}]", name, partial(images.__getitem__, k)) for k, name in enumerate(names)]


def read_plain(path: Path) -> np.ndarray:
    """Read an ``.npy`` or idx file, also as ``.gz``.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if the file is truncated or of another format.
    Source: the idx format as described with MNIST (LeCun, Cortes & Burges). Differs: nothing.
    """
    if not path.is_file():
        raise MissingFile(f"{path} is not there. Check data.source.objects.path and labels.")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:6] == b"\x93NUMPY":
            return np.load(io.BytesIO(data), allow_pickle=False)
        if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
            raise ValueError("no .npy and no idx file")
        sizes = np.frombuffer(data, ">u4", data[3], offset=4)
        values = np.frombuffer(data, IDX_TYPES[data[2]], offset=4 + 4 * data[3])
        return values.reshape([int(size) for size in sizes]).astype(values.dtype.newbyteorder("="))
    except (ValueError, EOFError, OSError, zlib.error, SyntaxError) as error:
        raise InvalidValue(
            f"{path} cannot be read as images or labels: {error}. Pictures (a folder or .zip), .npz, .npy and idx "
            "files (also .gz) can."
        ) from error


def find_white(items: Sequence[Item], name: str) -> tuple[float, str]:
    """Grey level that is white, from a sample that is evenly spread, and the sentence that says why.

    Raises:
        InvalidValue: if an image of the sample cannot be read, or no level can be concluded.
    """
    sample = [items[k] for k in evenly(len(items), SAMPLE)]
    return find_full_scale(levels_of((item.name, _pixels(item)) for item in sample), name, WHITE)


def decode(item: Item, white: float) -> Float[np.ndarray, "h w"]:
    """Read one image as grey values in [0, 1].

    Args:
        item: the image.
        white: grey level of white.
    Raises:
        InvalidValue: if it cannot be read, has several pages, or lies outside 0 to white.
    """
    return divided(_pixels(item)[None], white, [item.name], WHITE)[0].numpy()


def _pixels(item: Item) -> Shaped[Tensor, "h w"]:
    content = item.content()
    if not isinstance(content, bytes):
        return to_pixels(content, item.name)
    pages = open_picture(item.name, content, FileSettings(colour="luminance"))
    if len(pages) > 1:
        raise InvalidValue(f"{item.name} holds {len(pages)} pages; store one object a file.")
    return pages[0]
