"""Images from files: a folder or zip of pictures, ``.npz``, ``.npy`` or MNIST's idx, the latter two also as ``.gz``."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from spt.data.readers import native, read_arrays, read_picture
from spt.errors import InvalidValue, MissingFile

PICTURES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
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


def list_images(path: Path, images: str | None = None, labels: str | None = None) -> list[Item]:
    """List the images of a folder or file in a fixed order.

    Args:
        path: folder or zip of pictures (sub-folders are classes), ``.npz``, ``.npy`` or idx file, also as ``.gz``.
        images: key of the images in an ``.npz`` file.
        labels: key of the labels in an ``.npz`` file; else an idx or ``.npy`` file beside ``path``.
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
    if path.suffix.lower() == ".npz":
        if images is None:
            raise InvalidValue(f"{path}: data.source.objects.images must name the array that holds the images.")
        arrays = read_arrays(path, [images, *([labels] if labels else [])])
        return _rows(path, arrays[images], arrays[labels] if labels else None)
    return _rows(path, read_plain(path), read_plain(path.parent / labels) if labels else None)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES) and not name.startswith(".")


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


RANGES = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""Grey level that is white, by the type of the pixels."""


def decode(item: Item, white: int | None = None) -> Float[np.ndarray, "h w"]:
    """Read one image as grey values in [0, 1].

    Args:
        item: the image.
        white: grey level of white in files of integers; None takes the range of 8 or 16 bit. Floats stay as they are.
    Raises:
        InvalidValue: if it cannot be read, has several pages, lies outside its range, or is almost black because it
            uses a small part of it.
    """
    content = item.content()
    pixels = _one_page(item.name, content) if isinstance(content, bytes) else native(content)
    if pixels.dtype == bool:
        return pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        full, rule = 1.0, f"{pixels.dtype} images must lie in [0, 1]"
    else:
        full = white or RANGES.get(pixels.dtype) or 65535
        rule = f"white is grey level {full}"
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= full):
        raise InvalidValue(
            f"{item.name}: {rule}, but grey levels go from {low:g} to {high:g}. Scale the images, or set "
            "data.source.objects.white to the level of white."
        )
    if pixels.dtype.kind != "f" and white is None and 0 < high <= full // 16:
        raise InvalidValue(
            f"{item.name}: the brightest grey level is {high} of {full}, so that the object would be almost black. Set "
            "data.source.objects.white to the level of white: 1 for masks of 0 and 1, 4095 for 12 bit."
        )
    return (pixels / np.float32(full)).astype(np.float32)


def _one_page(name: str, content: bytes) -> np.ndarray:
    pages = read_picture(name, content, grey=True)
    if len(pages) > 1:
        raise InvalidValue(f"{name} holds {len(pages)} pages; store one object a file.")
    return pages[0]
