"""Images of one input file to files of a format; each is whole or absent."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import tifffile
from filelock import FileLock, Timeout
from jaxtyping import Float
from PIL import Image

from spt.errors import InvalidValue
from spt.files import atomic

ROOM = 2**16
"""Bytes that an HDF5 file needs beside its images."""

Images = Float[np.ndarray, "n h w"]
Write = Callable[[str, Images], None]


def named(stem: str, images: Images) -> Iterator[tuple[str, Float[np.ndarray, "h w"]]]:
    """A name for each image: that of its file, and its number where this holds several."""
    digits = len(str(len(images) - 1))
    for number, image in enumerate(images):
        yield stem if len(images) == 1 else f"{stem}_{number:0{digits}d}", image


def _png(out: Path, stem: str, images: Images, levels: int = 255, kind: type = np.uint8) -> None:
    for name, image in named(stem, images):
        with atomic(out / f"{name}.png") as part:
            Image.fromarray((image * levels).round().astype(kind)).save(part, format="png")


def _tiff(out: Path, stem: str, images: Images) -> None:
    for name, image in named(stem, images):
        with atomic(out / f"{name}.tif") as part:
            tifffile.imwrite(part, image.astype(np.float32))


def _npy(out: Path, stem: str, images: Images) -> None:
    with atomic(out / f"{stem}.npy") as part, part.open("wb") as file:
        np.save(file, images)


@contextmanager
def _one_file(out: Path) -> Iterator[Write]:
    """All images in ``images.h5``, which appears when the last one is written."""
    with ExitStack() as opened:
        parts: list[Path] = []

        def write(stem: str, images: Images) -> None:
            if not parts:
                out.mkdir(parents=True, exist_ok=True)
                opened.enter_context(_alone(out))
                parts.append(opened.enter_context(atomic(out / "images.h5")))
            _check_room(out, images.nbytes)
            with h5py.File(parts[0], "a") as file:
                file[stem] = images

        yield write


def _check_room(folder: Path, needed: int) -> None:
    """Refuse to write on a full disk: HDF5 would end the process.

    Raises:
        OSError: as the system does.
    """
    if shutil.disk_usage(folder).free < needed + ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold what says that this process writes ``images.h5``; its end, however it comes, sets it free.

    Raises:
        InvalidValue: if another process holds it.
    """
    try:
        with FileLock(out / ".images.h5.lock", timeout=0) as lock:
            try:
                yield
            finally:
                Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise InvalidValue(
            f"another process writes {out / 'images.h5'}. Wait for it, or choose another out=."
        ) from error


def remove_leftovers(out: Path) -> None:
    """Empty a folder that holds nothing but what a killed process left of ``images.h5``; a living one keeps its file.

    Raises:
        InvalidValue: if another process writes there.
    """
    left = {*out.glob(".images.h5.*.part"), *out.glob(".images.h5.lock")}
    if left and left == set(out.iterdir()):
        with _alone(out):
            for path in left:
                path.unlink(missing_ok=True)


@contextmanager
def _each(write: Callable[[Path, str, Images], None], out: Path) -> Iterator[Write]:
    yield partial(write, out)


FORMATS: dict[str, Callable[[Path], AbstractContextManager[Write]]] = {
    "png": partial(_each, _png),
    "png16": partial(_each, partial(_png, levels=65535, kind=np.uint16)),
    "tiff": partial(_each, _tiff),
    "npy": partial(_each, _npy),
    "h5": _one_file,
}
"""Name to what opens a writer in a folder: ``with FORMATS["png"](out) as write: write(stem, images)``."""
