"""Data sets as HDF5 files: the format, and opening it as pairs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.files import FileSettings, Frames
from spt.data.files.hdf5_arrays import open_hdf5
from spt.data.files.layout import Layout
from spt.data.files.stored import ArrayFrames
from spt.data.pairs import Pairs
from spt.data.source import Source
from spt.errors import InvalidValue, MissingFile

FORMAT = "spt speckle set"
VERSION = 1


def read_set(path: Path) -> dict[str, Pairs]:
    """Open every split of a finished set; speckles and targets are read when they are asked for.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is no such set, of a newer version, not finished or damaged; and when a frame is read that
            holds negative or infinite values.
    """
    with open_set(path) as file:
        return {split: _pairs(path, split, file[split]) for split in file.attrs["splits"]}


def _pairs(path: Path, split: str, group: h5py.Group) -> Pairs:
    speckle, target = (_frames(path, f"{split}/{name}", group[name]) for name in ("speckle", "target"))
    columns = {name: torch.from_numpy(group[name][...]) for name in group if name not in ("speckle", "target")}
    return Pairs(split, Recorded(speckle), target, columns.pop("diffuser"), columns)


def _frames(path: Path, key: str, data: h5py.Dataset) -> Frames:
    height, width = data.shape[1:]
    return ArrayFrames(open_hdf5(path, key), Layout("nhw", (height, width)), FileSettings())


class Recorded(Frames):
    """Frames of a camera: what no camera records is refused when it is read."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the frames [px]."""
        return self.frames.shape

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return self.frames.dtype

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some frames.

        Raises:
            InvalidValue: if a frame holds NaN, infinity or a negative value; file and frame are named.
        """
        frames = self.frames.read(rows)
        if frames.is_floating_point() or frames.is_signed():
            bad = ~(frames.isfinite() & (frames >= 0)).flatten(1).all(1)
            if bad.any():
                raise InvalidValue(
                    f"{', '.join(self.name(rows[k]) for k in bad.nonzero()[:8, 0].tolist())} (counted from 0): the "
                    "speckle holds NaN, infinity or negative intensities. Leave these frames out, or set negative "
                    "values to 0."
                )
        return frames

    def name(self, row: int) -> str:
        """File and number of a frame."""
        return self.frames.name(row)

    def fingerprint(self) -> str:
        """That of the frames."""
        return self.frames.fingerprint()


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
