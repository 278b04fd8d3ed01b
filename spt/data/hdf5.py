"""Data sets as HDF5 files: the format, and reading it as pairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import torch

from spt.data.pairs import Pairs

FORMAT = "spt speckle set"
VERSION = 1


def read_set(path: Path) -> dict[str, Pairs]:
    """Read every split of a finished set.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such set, of a newer version, not finished, or damaged.
    """
    with open_set(path) as file:
        return {split: _pairs(split, file[split]) for split in file.attrs["splits"]}


def _pairs(split: str, group: h5py.Group) -> Pairs:
    arrays = {name: torch.from_numpy(group[name][...]) for name in group}
    speckle, target, diffuser = (arrays.pop(name) for name in ("speckle", "target", "diffuser"))
    return Pairs(split, speckle, target, diffuser, arrays)


@contextmanager
def open_set(path: Path) -> Iterator[h5py.File]:
    """A finished set, open for reading; what is wrong with it is said with its name."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there. `python scripts/simulate.py out={path}` writes such a file.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(f"it is no {FORMAT} (its attribute `format` says {file.attrs.get('format')!r})")
            if file.attrs["version"] > VERSION:
                raise ValueError(
                    f"it is of version {file.attrs['version']}, and this spt reads up to {VERSION}. Update spt"
                )
            if not file.attrs["complete"]:
                raise ValueError("it is not finished. Run the command that wrote it again, on the .part file")
            yield file
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a data set: {error}.") from error
    except (OSError, KeyError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f"{path} cannot be read as a data set: {reason}. Restore or delete the file.") from error


@dataclass(frozen=True)
class SavedSpeckles:
    """A data set that ``scripts/simulate.py`` wrote.

    Args:
        path: the file.
    Raises:
        ValueError: when the file is needed: if none is named, or it is no finished data set.
        FileNotFoundError: if the file is missing.
    """

    path: str | None

    @property
    def size(self) -> int:
        """Side of speckles and objects [px]."""
        with open_set(self._file) as file:
            return int(file.attrs["size"])

    def prepare(self) -> None:
        """Check the file before anything is built."""
        with open_set(self._file):
            pass

    def load(self) -> dict[str, Pairs]:
        """Every split of the file."""
        return read_set(self._file)

    @property
    def _file(self) -> Path:
        if not self.path:
            raise ValueError(
                "data.source.path is missing: name a file that `python scripts/simulate.py data=… out=file.h5` wrote."
            )
        return Path(self.path).expanduser()
