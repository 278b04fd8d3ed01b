"""What is wrong with a file, said with its name."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from spt.data.files.names import ARRAYS, PICKLES, PICTURES, RAW
from spt.errors import InvalidValue, MissingFile, UserError

LARGEST = 2**28
"""Pixels of one image. A file that claims more is damaged or made to fill the memory."""


@contextmanager
def reading(name: str | Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads a file into one sentence with the file's name.

    Raises:
        InvalidValue: instead of any other error: a damaged file makes libraries raise almost anything.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise MissingFile(f"{name} is not there any more ({error.strerror or error}).") from error
    except PermissionError as error:
        raise InvalidValue(f"{name} may not be read by this user. Change the file's permissions.") from error
    except Exception as error:
        if isinstance(error, BlockingIOError) or "lock file" in str(error) or "already open for" in str(error):
            raise InvalidValue(
                f"{name} is open in another program, which may be writing it. Close it there, or wait until it is "
                "written."
            ) from error
        reason = str(error).strip().splitlines()
        raise InvalidValue(
            f"{name} cannot be read as {kind}: truncated, or another format ({reason[0] if reason else type(error)}). "
            "Restore or leave out the file."
        ) from error


def check_there(path: Path) -> None:
    """Refuse a path that is no file, and one that is a pickle.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it may not be read, is empty, or holds Python objects.
    """
    with reading(path, "a file"):
        status = _status(path)
        if stat.S_ISDIR(status.st_mode):
            raise MissingFile(f"{path} is a folder, and one file is needed here.")
        if not stat.S_ISREG(status.st_mode):
            raise InvalidValue(f"{path} is a device or a pipe, and a file is needed here.")
        if status.st_size == 0:
            raise InvalidValue(f"{path} is empty (0 bytes). Restore or leave out the file.")
        if path.suffix.lower() in PICKLES or (path.suffix.lower() in RAW and _is_pickle(path)):
            raise InvalidValue(f"{path} is a Python pickle. {how_to_convert(path)}")


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
        if os.path.islink(path):
            raise MissingFile(f"{path} is a symbolic link that leads to no file. Mend or remove the link.") from error
        raise MissingFile(f"{path} is not there. Check the path.") from error


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(-1, os.SEEK_END)
        end = file.read(1)
    old = start.startswith((b"(dp", b"(lp", b"cnumpy", b"ccopy_reg", b"}q", b"]q"))
    return end == b"." and (old or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")))


def how_to_convert(path: Path) -> str:
    """How to turn Python objects into an array, where one trusts them."""
    array = path.suffix.lower() in (".npy", ".npz")
    load = f"numpy.load({path.name!r}, allow_pickle=True)" if array else f"pickle.load(open({path.name!r}, 'rb'))"
    return (
        "spt never opens pickles, because they can run any program. If you trust the file, convert it once in Python: "
        f"`import numpy, pickle; data = {load}`, then `numpy.save('images.npy', numpy.stack(images))`, where images is "
        "the part of data that holds them."
    )


def unknown_format(path: Path) -> InvalidValue:
    """The error for a file whose ending says nothing."""
    return InvalidValue(
        f"{path} has no known ending. {', '.join(PICTURES + ARRAYS)} can be read, and {', '.join(RAW)} with dtype and "
        "shape."
    )


def check_type(name: str, path: Path, dtype: np.dtype, shape: Sequence[int]) -> None:
    """Refuse an array that holds no images: Python objects, complex numbers, text, or nothing.

    Raises:
        InvalidValue: the message says how to convert it.
    """
    if dtype.hasobject:
        raise InvalidValue(f"{name} holds Python objects (a pickle). {how_to_convert(path)}")
    if dtype.kind == "c" or {"real", "imag"} <= set(dtype.names or ()):
        raise InvalidValue(
            f"{name} holds complex numbers, and an image has real ones. Save what the camera sees, for example "
            "intensity: abs(x)**2 (in MATLAB abs(x).^2)."
        )
    if dtype.kind not in "buif":
        raise InvalidValue(f"{name} holds {dtype} of shape {tuple(shape)}, and an image has numbers.")
    if min(shape, default=1) < 1:
        raise InvalidValue(f"{name} is empty: shape {tuple(shape)}.")


def check_memory(name: str, pixels: int, size: int) -> None:
    """Refuse an image that would fill the memory, before it is made.

    Args:
        name: what messages call it.
        pixels: of one image.
        size: bytes that are needed at once.
    Raises:
        InvalidValue: if there are more pixels than 2**28, or more bytes than this machine has.
    """
    if pixels > LARGEST or size > memory():
        raise InvalidValue(
            f"{name} claims images of {pixels:,} pixels ({size / 2**30:.1f} GiB to read one), and at most {LARGEST:,} "
            f"pixels and {memory() / 2**30:.1f} GiB, the memory of this machine, are read. The file is damaged, or its "
            "axes are not what they seem (axes)."
        )


def memory() -> int:
    """Memory of this machine [bytes]."""
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**36  # Windows does not say it in Python's own library
