"""Data sets as HDF5 files: written chunk by chunk so that an interrupted one goes on, read as pairs."""

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import h5py
import numpy as np
import PIL
import torch
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from spt import __version__
from spt.data.pairs import Pairs
from spt.data.settings import first_difference, flatten

log = logging.getLogger(__name__)

FORMAT = "spt speckle set"
VERSION = 1
CHUNK = 64
"""Pairs that are simulated and written at once; camera noise is drawn a chunk at a time, so this decides pixels."""


class Simulation(Protocol):
    """What can be written: pairs by split and number, from settings alone."""

    @property
    def size(self) -> int:
        """Side of speckles and objects [px]."""

    @property
    def counts(self) -> dict[str, int]:
        """Pairs of each split."""

    def settings(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types."""

    def columns(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of what is stored of each pair, by name."""

    def noise(self, split: str) -> torch.Generator:
        """The generator that the chunks of a split draw from in turn."""

    def simulate(self, split: str, start: int, stop: int, noise: torch.Generator) -> dict[str, np.ndarray]:
        """Pairs ``start`` to ``stop - 1`` of a split."""


def write_set(path: Path, simulation: Simulation) -> None:
    """Simulate into ``<path>.part`` and rename it when the last pair is there.

    The part file is laid out in full, on disk, before anything is simulated: a full disk shows at once. After every
    chunk it holds how far it is, so that the same command goes on there after any interruption, to the same bits.

    Raises:
        FileExistsError: if ``path`` is there already.
        ValueError: if the part file belongs to other settings.
        OSError: if the file cannot be written or the disk is full; what was finished stays in the part file.
    """
    settings, counts = simulation.settings(), simulation.counts
    if path.exists():
        raise FileExistsError(
            f"{path} exists already and holds {_held(path, settings)}. It is left as it is: choose another out=."
        )
    part = path.with_name(path.name + ".part")
    try:
        with _opened(part, simulation, settings, counts) as file:
            _go_on(file, simulation, counts)
            file.attrs["complete"] = True
            del file["resume"]
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(path)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise OSError(
                f"{part} is being written by another process. Wait for it, or choose another out=."
            ) from error
        left = (
            f"What is finished stays in {part}: the same command goes on there" if part.exists() else "Nothing was left"
        )
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot write ({reason}). {left}", str(path)) from error


def _held(path: Path, settings: Any) -> str:
    try:
        with open_set(path) as file:
            difference = first_difference(settings, json.loads(file.attrs["settings"]))
    except ValueError:
        return "something else"
    return f"another set: {difference}" if difference else "the same set"


@contextmanager
def _opened(part: Path, simulation: Simulation, settings: Any, counts: dict[str, int]) -> Iterator[h5py.File]:
    """The part file, as an earlier call left it or laid out anew."""
    if part.exists() and not _can_go_on(part, settings):
        part.unlink()
    if not part.exists():
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            _lay_out(part, simulation, settings, counts)
        except FileExistsError:  # another process was a moment faster
            raise
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    with h5py.File(part, "r+") as file:
        yield file


def _can_go_on(part: Path, settings: Any) -> bool:
    try:
        with h5py.File(part, "r+") as file:
            if "resume" not in file:
                raise KeyError("it is not laid out")
            theirs = json.loads(file.attrs["settings"])
    except BlockingIOError:
        raise
    except (OSError, KeyError, ValueError) as error:
        log.warning("%s cannot be continued (%s): starting again.", part, error)
        return False
    difference = first_difference(settings, theirs)
    if difference:
        raise ValueError(
            f"{part} is the beginning of another set: {difference}. Delete it, go on with its settings, or choose "
            "another out=."
        )
    return True


def _lay_out(part: Path, simulation: Simulation, settings: Any, counts: dict[str, int]) -> None:
    """Write attributes and empty arrays, each at its place on disk, so that later writes change no structure."""
    # Before HDF5 is involved, which does not survive a disk that is full.
    with part.open("xb") as probe:
        _reserve(probe, 2**20 + _bytes(simulation, counts))
    with h5py.File(part, "w") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "complete": False, "splits": list(counts)})
        file.attrs.update({"size": simulation.size, "seed": settings["seed"], "settings": json.dumps(settings)})
        versions = {"spt": __version__, "torch": torch.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
        file.attrs.update(
            {f"{name}_version": str(text) for name, text in {**versions, "h5py": h5py.__version__}.items()}
        )
        for name, value in flatten(settings):
            file.attrs[f"settings.{name}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for split, count in counts.items():
            for name, (shape, kind) in simulation.columns().items():
                _allocate(file, f"{split}/{name}", (count, *shape), kind, (min(CHUNK, count), *shape))
        record = _record(0, 0, simulation.noise(next(iter(counts))))
        _allocate(file, "resume", record.shape, record.dtype, None)
        file["resume"][...] = record
    with part.open("r+b") as laid_out:
        _reserve(laid_out, part.stat().st_size)


def _bytes(simulation: Simulation, counts: dict[str, int]) -> int:
    """Bytes of all arrays; the last chunk of each is stored in full."""
    pair = sum(math.prod(shape) * kind.itemsize for shape, kind in simulation.columns().values())
    return sum(-(-count // CHUNK) * min(CHUNK, count) * pair for count in counts.values())


def _reserve(file: BinaryIO, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # elsewhere a full disk shows when it is reached
        os.posix_fallocate(file.fileno(), 0, size)


def _allocate(
    file: h5py.File, name: str, shape: tuple[int, ...], kind: np.dtype, chunks: tuple[int, ...] | None
) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    file.create_dataset(name, shape, kind, chunks=chunks, dcpl=plan)


def _record(split: int, done: int, noise: torch.Generator) -> np.ndarray:
    """How far a set is, and the state of its noise: written in one piece, so that they always fit together."""
    return np.concatenate([np.array([split, done], "<i8").view(np.uint8), noise.get_state().numpy()])


def _go_on(file: h5py.File, simulation: Simulation, counts: dict[str, int]) -> None:
    resume = file["resume"][...]
    first, done = (int(number) for number in resume[:16].view("<i8"))
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for k, (split, count) in enumerate(counts.items()):
            at = count if k < first else done if k == first else 0
            task = progress.add_task(f"Simulating {split}", total=count, completed=at)
            noise = simulation.noise(split)
            if k == first:
                noise.set_state(torch.from_numpy(resume[16:].copy()))
            for start in range(at, count, CHUNK):
                stop = min(start + CHUNK, count)
                for name, values in simulation.simulate(split, start, stop, noise).items():
                    file[split][name][start:stop] = values
                file.flush()
                file["resume"][...] = _record(k, stop, noise)
                file.flush()
                progress.advance(task, stop - start)


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
    except (OSError, KeyError, ValueError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(f"{path} cannot be read as a data set: {reason}.") from error


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
