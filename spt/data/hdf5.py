"""Data sets as HDF5 files: the format, and reading it as pairs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import torch

from spt.data.pairs import Pairs
from spt.data.readers import check_intensities
from spt.data.source import Source
from spt.errors import InvalidValue, MissingFile

FORMAT = "spt speckle set"
VERSION = 1


def read_set(path: Path) -> dict[str, Pairs]:
    """Read every split of a finished set.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is no such set, of a newer version, not finished, damaged, larger than the memory, or a
            frame holds negative or infinite values.
    """
    with open_set(path) as file:
        _check_memory(path, file)
        return {split: _pairs(path, split, file[split]) for split in file.attrs["splits"]}


def _check_memory(path: Path, file: h5py.File) -> None:
    needed = sum(data.nbytes for split in file.attrs["splits"] for data in file[split].values())
    if hasattr(os, "sysconf"):
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > there:
            raise InvalidValue(
                f"{path} holds {needed / 2**30:.1f} GiB, and this machine has {there / 2**30:.1f} GiB of memory. "
                "Write a smaller set, for example with data.source.train=…."
            )


def _pairs(path: Path, split: str, group: h5py.Group) -> Pairs:
    arrays = {name: group[name][...] for name in group}
    check_intensities(arrays["speckle"], f"{path}, {split}/speckle")
    arrays = {name: torch.from_numpy(values) for name, values in arrays.items()}
    speckle, target, diffuser = (arrays.pop(name) for name in ("speckle", "target", "diffuser"))
    return Pairs(split, speckle, target, diffuser, arrays)


@contextmanager
def open_set(path: Path) -> Iterator[h5py.File]:
    """A finished set, open for reading; what is wrong with it is said with its name."""
    if not path.is_file():
        raise MissingFile(f"{path} is not there. `python scripts/simulate.py out={path}` writes such a file.")
    try:
        with h5py.File(path, "r") as file:
            _check_format(path, file)
            yield file
    except InvalidValue:
        raise
    except BlockingIOError as error:
        raise InvalidValue(
            f"{path} is open in another program, which may be writing it. Close it there, or wait until it is written."
        ) from error
    except (OSError, KeyError, ValueError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise InvalidValue(f"{path} cannot be read as a data set: {reason}. Restore or delete the file.") from error


def _check_format(path: Path, file: h5py.File) -> None:
    problem = None
    if file.attrs.get("format") != FORMAT:
        problem = f"it is no {FORMAT} (its attribute `format` says {file.attrs.get('format')!r})"
    elif file.attrs["version"] > VERSION:
        problem = f"it is of version {file.attrs['version']}, and this spt reads up to {VERSION}. Update spt"
    elif not file.attrs["complete"]:
        problem = "it is not finished. Run the command that wrote it again, on the .part file"
    if problem:
        raise InvalidValue(f"{path} cannot be read as a data set: {problem}.")


@dataclass(frozen=True)
class SavedSpeckles(Source):
    """A data set that ``scripts/simulate.py`` wrote.

    Args:
        path: the file.
    Raises:
        InvalidValue: when the file is needed: if none is named, or it is no finished data set.
        MissingFile: if the file is missing.
    """

    path: str | None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the recorded speckles [px]."""
        return self._size_of("speckle")

    @property
    def object_size(self) -> tuple[int, int]:
        """Height and width of the objects [px]."""
        return self._size_of("target")

    def prepare(self) -> None:
        """Check the file before anything is built."""
        with open_set(self._file):
            pass

    def load(self) -> dict[str, Pairs]:
        """Every split of the file."""
        return read_set(self._file)

    def _size_of(self, name: str) -> tuple[int, int]:
        with open_set(self._file) as file:
            height, width = file[file.attrs["splits"][0]][name].shape[1:]
            return height, width

    @property
    def _file(self) -> Path:
        if not self.path:
            raise InvalidValue(
                "data.source.path is missing: name a file that `python scripts/simulate.py data=… out=file.h5` wrote."
            )
        return Path(self.path).expanduser()
