"""Writing simulated sets as HDF5 files, chunk by chunk, so that an interrupted one goes on."""

import errno
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import h5py
import numpy as np
import PIL
import torch
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from spt import __version__
from spt.data.hdf5 import FORMAT, VERSION, open_set
from spt.data.settings import first_difference, flatten

try:
    import fcntl
except ImportError:  # no such locks on Windows: there, one process at a time is the user's care
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

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
        with _alone(part) as held:
            if not _can_go_on(part, settings):
                _lay_out(part, held, simulation, settings, counts)
            with h5py.File(part, "r+", locking=False) as file:
                if not file.attrs["complete"]:
                    _go_on(file, simulation, counts)
                    file.attrs["complete"] = True
                    del file["resume"]
            os.fsync(held.fileno())
            part.rename(path)
    except BlockingIOError as error:
        message = "is being written by another process. Wait for it, or choose another out="
        raise BlockingIOError(error.errno, message, str(part)) from error
    except OSError as error:
        left = f"What is finished stays in {part}: the same command goes on there"
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot write ({reason}). {left if part.exists() else 'Nothing was left'}"
        raise OSError(error.errno, message, str(path)) from error


def _held(path: Path, settings: Any) -> str:
    try:
        with open_set(path) as file:
            difference = first_difference(settings, json.loads(file.attrs["settings"]))
    except ValueError:
        return "something else"
    return f"another set: {difference}" if difference else "the same set"


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """The part file, made if need be and locked against every other process that would write it."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as held:
        if fcntl:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not part.exists() or not os.path.samestat(os.fstat(held.fileno()), part.stat()):
            raise BlockingIOError(errno.EAGAIN, "it was finished a moment ago")
        yield held


def _can_go_on(part: Path, settings: Any) -> bool:
    if part.stat().st_size == 0:
        return False
    try:
        with h5py.File(part, "r", locking=False) as file:
            if not file.attrs["complete"] and "resume" not in file:
                raise KeyError("it is not laid out")
            theirs = json.loads(file.attrs["settings"])
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


def _lay_out(part: Path, held: BinaryIO, simulation: Simulation, settings: Any, counts: dict[str, int]) -> None:
    """Write attributes and empty arrays, each at its place on disk, so that later writes change no structure."""
    try:
        # Before HDF5 is involved, which does not survive a disk that is full.
        _reserve(held, 2**20 + _bytes(simulation, counts))
        with h5py.File(part, "w", locking=False) as file:
            _describe_set(file, simulation.size, settings, counts)
            for split, count in counts.items():
                for name, (shape, kind) in simulation.columns().items():
                    _allocate(file, f"{split}/{name}", (count, *shape), kind, (min(CHUNK, count), *shape))
            record = _record(0, 0, simulation.noise(next(iter(counts))))
            _allocate(file, "resume", record.shape, record.dtype, None)
            file["resume"][...] = record
        _reserve(held, part.stat().st_size)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _describe_set(file: h5py.File, size: int, settings: Any, counts: dict[str, int]) -> None:
    file.attrs.update({"format": FORMAT, "version": VERSION, "complete": False, "splits": list(counts)})
    file.attrs.update({"size": size, "seed": settings["seed"], "settings": json.dumps(settings)})
    versions = {"spt": __version__, "torch": torch.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
    file.attrs.update({f"{name}_version": str(text) for name, text in {**versions, "h5py": h5py.__version__}.items()})
    for name, value in flatten(settings):
        file.attrs[f"settings.{name}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)


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
