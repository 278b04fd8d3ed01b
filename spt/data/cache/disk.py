"""Images of files in one mapped file of the cache folder, for all processes and all later runs."""

import logging
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Shaped
from torch import Tensor

from spt import __version__
from spt.data.cache.free_memory import in_words
from spt.data.files.frames import Frames, digest
from spt.data.files.npy import MappedArray, open_npy
from spt.errors import InvalidValue, UserError
from spt.files import atomic

log = logging.getLogger(__name__)

PIECE = 2**25
"""Bytes of the images that are read at once."""
SUM = np.dtype("<u4")
"""Type of the checksum of an image; those of all images stand behind the pixels."""


class OnDisk(Frames):
    """Images in a file of the cache folder. Each is checked when it is first read.

    A damaged image is read from its own file instead, and the cache file is removed, so that the next run writes it
    anew. The same happens when the cache folder is emptied during a run.

    Args:
        original: the images in their own files.
        path: the cache file.
    Raises:
        InvalidValue: if the cache file is truncated.
        ValueError: if it is not one of these images.
    """

    def __init__(self, original: Frames, path: Path) -> None:
        self.original, self.path = original, path
        self.stored: MappedArray | None = open_npy(path)
        end = self.stored.offset + size_of(original)
        if self.stored.shape != original.shape or path.stat().st_size != end + len(original) * SUM.itemsize:
            raise ValueError(f"{path} does not hold {original.shape} images")
        self.sums = np.fromfile(path, SUM, offset=end)
        self.checked = np.zeros(len(original), bool)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return self.original.shape

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return self.original.dtype

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Some images."""
        if self.stored is not None:
            try:
                images = self.stored.take(0, rows)
                if all(self._is_sound(row, image) for row, image in zip(rows, images, strict=True)):
                    return torch.from_numpy(images)
                reason = "is damaged"
            except (OSError, ValueError) as error:  # removed, or cut
                reason = f"cannot be read ({error})"
            log.warning(
                "%s %s. The images are read from their own files; the next run writes it anew.", self.path, reason
            )
            with suppress(OSError):
                self.path.unlink()
            self.stored = None
        return self.original.read(rows)

    def name(self, row: int) -> str:
        """File of an image, not of its copy."""
        return self.original.name(row)

    def fingerprint(self) -> str:
        """That of the files."""
        return self.original.fingerprint()

    def _is_sound(self, row: int, image: Shaped[np.ndarray, "h w"]) -> bool:
        if not self.checked[row]:
            self.checked[row] = zlib.crc32(image.data) == self.sums[row]
        return bool(self.checked[row])


def on_disk(frames: Frames, folder: Path, advance: Callable[[int], object] = lambda count: None) -> OnDisk:
    """Keep images in a file of a folder; processes that want the same ones wait for the first and share its file.

    The name of the file follows from names, sizes and times of the images' own files and from how they are read. So
    files that change are read again. A truncated file is written anew.

    Args:
        frames: images in files.
        folder: it is made where it is not there.
        advance: told how many bytes were written.
    Raises:
        InvalidValue: if the disk is too full, or an image cannot be read.
        OSError: if the folder cannot be written.
    """
    path = folder / f"images-{digest(__version__, frames.fingerprint())}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        with _lock(path):
            if not _is_whole(frames, path):
                _write(frames, path, advance)
    except UserError:
        raise
    except OSError as error:
        raise OSError(
            error.errno, f"data.cache=disk: {error.strerror or error}", error.filename or str(folder)
        ) from error
    return OnDisk(frames, path)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-written; one that still writes holds the lock of its file."""
    for part in folder.glob(".images-*.npy.*.part"):
        name = part.name[1:].rsplit(".", 2)[0]  # without the number of the process
        with suppress(Timeout, OSError), _lock(folder / name, wait=False):
            part.unlink()


def _lock(path: Path, wait: bool = True) -> FileLock:
    """What a process holds while it writes a cache file; its end, however it comes, sets it free."""
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=-1 if wait else 0)


def pieces(frames: Frames) -> Iterator[slice]:
    """Ranges of images that are read at once, in a memory that does not grow with their number."""
    step = max(1, PIECE * len(frames) // max(1, size_of(frames)))
    return (slice(start, min(start + step, len(frames))) for start in range(0, len(frames), step))


def size_of(frames: Frames) -> int:
    """Bytes of all images."""
    return prod(frames.shape) * frames.dtype.itemsize


def _is_whole(frames: Frames, path: Path) -> bool:
    if not path.exists():
        return False
    try:
        OnDisk(frames, path)
    except ValueError as error:
        log.warning("%s is damaged and is written anew (%s).", path, error)
        return False
    return True


def _write(frames: Frames, path: Path, advance: Callable[[int], object]) -> None:
    needed, free = size_of(frames) + len(frames) * SUM.itemsize, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InvalidValue(
            f"data.cache=disk needs {in_words(needed)} in {path.parent}, where {in_words(free)} are free. Set "
            "SPT_CACHE to another folder, or use data.cache=none."
        )
    dtype = torch.empty(0, dtype=frames.dtype).numpy().dtype
    header = {"descr": dtype.str, "fortran_order": False, "shape": frames.shape}
    with atomic(path) as part, part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        sums = []
        for piece in pieces(frames):
            images = np.ascontiguousarray(frames[piece].numpy())
            sums += [zlib.crc32(image.data) for image in images]
            file.write(images.data)
            advance(images.nbytes)
        file.write(np.array(sums, SUM).data)
