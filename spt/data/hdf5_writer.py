"""Writing simulated sets as HDF5 files, chunk by chunk, so that an interrupted one goes on."""

import errno
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL
import torch
from filelock import FileLock, Timeout
from rich import get_console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from spt import __version__
from spt.data.hdf5 import FORMAT, VERSION, open_set
from spt.data.settings import first_difference, flatten
from spt.data.source import Simulation
from spt.errors import InvalidValue

log = logging.getLogger(__name__)

CHUNK = 64
"""Pairs that are written at once, and the chunk of the file; it decides no pixel."""


def write_set(path: Path, simulation: Simulation, wait: bool = False) -> None:
    """Simulate into ``<path>.part`` and rename it when the last pair is there.

    The part file is laid out in full, on disk, before anything is simulated: a full disk shows at once. After every
    chunk it holds how many pairs are done, so that the same command goes on there after any interruption, to the same
    bits.

    Args:
        path: the file to write.
        simulation: what is written.
        wait: wait for another process that writes this file, and accept what it wrote.
    Raises:
        FileExistsError: if ``path`` is there already.
        BlockingIOError: if another process writes it.
        InvalidValue: if the part file belongs to other settings.
        OSError: if the file cannot be written or the disk is full; what was finished stays in the part file.
    """
    settings, part = simulation.settings(), path.with_name(path.name + ".part")
    with _alone(path, part, wait):
        if not path.exists():
            if not _can_go_on(part, settings):
                _lay_out(part, simulation, settings)
            _go_on(part, simulation)
            part.rename(path)
        elif not wait:
            raise FileExistsError(
                f"{path} exists already and holds {_content(path, settings)}. It is left as it is: choose another out=."
            )


@contextmanager
def _alone(path: Path, part: Path, wait: bool) -> Iterator[None]:
    """Keep every other process from writing this file, and say with an error of the disk how to go on."""
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=-1 if wait else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock:
            yield
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        message = "is being written by another process. Wait for it, or choose another out="
        raise BlockingIOError(errno.EAGAIN, message, str(path)) from error
    except OSError as error:
        if error.errno is None:  # says all of this already
            raise
        left = f"What is finished stays in {part}: the same command goes on there"
        message = f"cannot write ({os.strerror(error.errno)}). {left if part.exists() else 'Nothing was left'}"
        raise OSError(error.errno, message, str(path)) from error


def _content(path: Path, settings: Any) -> str:
    try:
        with open_set(path) as file:
            difference = first_difference(settings, json.loads(file.attrs["settings"]))
    except ValueError:
        return "something else"
    return f"another set: {difference}" if difference else "the same set"


def _can_go_on(part: Path, settings: Any) -> bool:
    if not part.exists():
        return False
    try:
        with h5py.File(part, "r", locking=False) as file:
            if "done" not in file and not file.attrs["complete"]:
                raise KeyError("it is not laid out")
            theirs = json.loads(file.attrs["settings"])
    except (OSError, KeyError, ValueError) as error:
        log.warning("%s cannot be continued (%s): starting again.", part, error)
        return False
    difference = first_difference(settings, theirs)
    if difference:
        raise InvalidValue(
            f"{part} is the beginning of another set: {difference}. Delete it, go on with its settings, or choose "
            "another out=."
        )
    return True


def _lay_out(part: Path, simulation: Simulation, settings: Any) -> None:
    """Write attributes and empty arrays, each at its place on disk, so that later writes change no structure."""
    counts, columns = simulation.counts, simulation.columns()
    try:
        # Before HDF5 is involved, which does not survive a disk that is full.
        _reserve(part, 2**20 + _bytes(simulation))
        with h5py.File(part, "w", locking=False) as file:
            _describe_set(file, simulation.size, settings, counts)
            for split, count in counts.items():
                for name, (shape, kind) in columns.items():
                    _allocate(file, f"{split}/{name}", (count, *shape), kind, (min(CHUNK, count), *shape))
            _allocate(file, "done", (1,), np.dtype(np.int64), None)
            file["done"][...] = 0
        _reserve(part, part.stat().st_size)
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


def _bytes(simulation: Simulation) -> int:
    """Bytes of all arrays; the last chunk of each is stored in full."""
    pair = sum(math.prod(shape) * kind.itemsize for shape, kind in simulation.columns().values())
    return sum(-(-count // CHUNK) * min(CHUNK, count) * pair for count in simulation.counts.values())


def _reserve(part: Path, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # elsewhere a full disk shows when it is reached
        with part.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def _allocate(
    file: h5py.File, name: str, shape: tuple[int, ...], kind: np.dtype, chunks: tuple[int, ...] | None
) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    file.create_dataset(name, shape, kind, chunks=chunks, dcpl=plan)


def _go_on(part: Path, simulation: Simulation) -> None:
    """Simulate and write what is missing; ``done`` counts the pairs of all splits, in their order."""
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, disable=not get_console().is_terminal)
    with h5py.File(part, "r+", locking=False) as file, shown as progress:
        if file.attrs["complete"]:  # interrupted before it was renamed
            return
        done, before = int(file["done"][0]), 0
        for split, count in simulation.counts.items():
            first = min(max(done - before, 0), count)
            task = progress.add_task(f"Simulating {split}", total=count, completed=first)
            for start in range(first, count, CHUNK):
                numbers = range(start, min(start + CHUNK, count))
                objects = simulation.draw_objects(split, numbers)
                for name, values in simulation.simulate(split, numbers, objects, simulation.processor).items():
                    file[split][name][numbers.start : numbers.stop] = values.cpu().numpy()
                file.flush()
                file["done"][0] = before + numbers.stop
                file.flush()
                progress.advance(task, len(numbers))
            before += count
        file.attrs["complete"] = True
        del file["done"]
        file.flush()
        os.fsync(file.id.get_vfd_handle())
