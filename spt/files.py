"""Files that are either whole or absent."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spt.errors import InvalidValue


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    An error or an interruption removes the temporary file and leaves an older ``path`` as it was.

    Raises:
        OSError: if the folder cannot be written or the disk is full; the message names ``path``.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write ({error.strerror or error}). Nothing half-written was left", str(path)
        ) from error
    finally:
        with suppress(OSError):  # where the folder is a file there is no part, and the error above says more
            part.unlink()


def check_writable(folder: Path, option: str = "out=") -> None:
    """Refuse a folder that cannot be written, before time is spent; nothing is made.

    Args:
        folder: which may not be there yet.
        option: what chooses another folder.
    Raises:
        InvalidValue: naming the folder.
    """
    try:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        probe = there / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidValue(f"cannot write to {folder}: {error.strerror}. Choose another {option}.") from error


def cache_folder() -> Path:
    """Where files are kept that can be made again: SPT_CACHE, or ``~/.cache/spt``."""
    return Path(os.environ.get("SPT_CACHE") or "~/.cache/spt").expanduser()
