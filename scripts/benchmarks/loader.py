"""How quickly frames come from files of every format into batches, against reading the bytes of the files alone.

OMP_NUM_THREADS=1 python scripts/benchmarks/loader.py --frames 1024 --repeats 5
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from file_formats import FORMATS, write
from machine import each, hardware, parser, positive, show
from rounds import spread
from torch.utils.benchmark import timer

BYTES = "bytes alone"
MEMORY, PREPARED = "memory", "memory, prepared"
"""Frames in memory: what the loader takes without files, and what the default preparation takes."""


KINDS = [MEMORY, PREPARED, *FORMATS]


def main() -> None:
    """Measure every format in a process of its own."""
    options = parser(__doc__, sizes=[256], repeats=5)
    options.add_argument("--formats", nargs="+", choices=KINDS, default=KINDS, metavar="NAME")
    options.add_argument("--frames", type=positive, default=1024)
    options.add_argument("--batch", type=positive, default=16)
    options.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--warm", action="store_true", help="leave the files in the memory of the system")
    asked = options.parse_args()
    same = {"count": asked.frames, "batch": asked.batch, "workers": asked.workers, "repeats": asked.repeats}
    cases = [{"kind": kind, "size": s, "warm": asked.warm, **same} for s in asked.sizes for kind in asked.formats]
    where = "files in the memory of the system" if asked.warm else "files forgotten by the system before each pass"
    show(
        table(each(measure, cases)),
        f"{hardware()}; {asked.frames:,} frames of 8 bit in batches of {asked.batch}, shuffled, without preparation; "
        f"{where}; median (least..greatest) of {asked.repeats} interleaved rounds. In brackets: share of "
        f"the speed of reading the bytes alone, median of the rounds.",
    )


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Measure one format at one size: its bytes and its loaders, in turn."""
    import torch

    frames = speckles(case["count"], case["size"])
    with tempfile.TemporaryDirectory() as folder:
        kind = case["kind"]
        source = write(kind, Path(folder), frames) if kind in FORMATS else torch.from_numpy(frames)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        ways: dict[str, Callable[[], object]] = {BYTES: lambda: read_bytes(files)} if files else {}
        ways |= {
            f"{workers} workers": epoch(source, workers, case["batch"], kind == PREPARED) for workers in case["workers"]
        }
        seconds = in_rounds(ways, case["repeats"], (lambda: None) if case["warm"] else (lambda: forget(files)))
        size = sum(path.stat().st_size for path in files)
    return {"format": kind, "size": case["size"], "frames": len(frames), "bytes": size, "seconds": seconds}


def in_rounds(
    ways: Mapping[str, Callable[[], object]], rounds: int, before: Callable[[], object]
) -> dict[str, list[float]]:
    """Time every way once a round, another one first each round, after one call of each that warms up.

    Args:
        ways: what is timed, by name.
        rounds: times that each is timed.
        before: called before each, outside the time.
    Returns:
        The times of every way [s], round by round.
    """
    names = list(ways)
    for name in names:
        ways[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            before()
            start = timer()
            ways[name]()
            seconds[name].append(timer() - start)
    return seconds


def epoch(speckle: Any, workers: int, batch: int, prepared: bool = False) -> Callable[[], int]:
    """A call that loads every frame once, in a new order each time; worker processes stay from call to call.

    Args:
        speckle: frames, a tensor or in files.
        workers: loader processes.
        batch: frames of a batch.
        prepared: whether frames go through the default preparation.
    """
    import torch

    from spt.data.order import EpochOrder, LateLoader
    from spt.data.pairs import Pairs, PairsDataset
    from spt.data.preparation import Amplitude

    count = len(speckle)
    pairs = Pairs("train", speckle, torch.zeros(count, 1, 1), torch.zeros(count, dtype=torch.int64))
    dataset = PairsDataset(pairs, Amplitude() if prepared else Amplitude(transform="none", scale="none"))
    order = EpochOrder(dataset, 1, 0)
    loader = LateLoader(dataset, sampler=order, batch_size=batch, num_workers=workers, persistent_workers=workers > 0)

    def load() -> int:
        order.set_epoch(order.epoch + 1)
        return sum(len(each["index"]) for each in loader)

    return load


def read_bytes(files: Sequence[Path]) -> int:
    """Read files whole, one after the other."""
    return sum(len(path.read_bytes()) for path in files)


def forget(files: Sequence[Path]) -> None:
    """Ask the system to forget the files, so that they come from the disk again; not every system can be asked."""
    if hasattr(os, "posix_fadvise"):
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def speckles(count: int, size: int) -> np.ndarray:
    """Frames of developed speckle, 8 bit: grains of four pixels, as a camera sees them."""
    draws = np.random.default_rng(0)
    pupil = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size))) < 0.125
    frames = np.empty((count, size, size), np.uint8)
    for frame in frames:
        field = np.fft.ifft2(pupil * (draws.standard_normal((size, size)) + 1j * draws.standard_normal((size, size))))
        light = np.abs(field) ** 2
        frame[...] = (40 * light / light.mean() + draws.normal(0, 1, light.shape)).clip(0, 255)
    return frames


def table(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure`.
    """
    ways = list(dict.fromkeys(way for row in rows for way in row["seconds"]))
    ways = [BYTES, *(way for way in ways if way != BYTES)]
    yield ["format", "px", "kB a frame", *(f"{way}, frames/s" for way in ways)]
    for row in rows:
        alone = row["seconds"].get(BYTES)
        cells = [_cell(row["frames"], row["seconds"].get(way), None if way == BYTES else alone) for way in ways]
        yield [row["format"], str(row["size"]), f"{row['bytes'] / row['frames'] / 1e3:.1f}", *cells]


def _cell(frames: int, seconds: Sequence[float] | None, alone: Sequence[float] | None) -> str:
    if seconds is None:
        return ""
    speed = spread([frames / second for second in seconds], 0)
    if alone is None:
        return speed
    return f"{speed} [{median(a / b for a, b in zip(alone, seconds, strict=True)):.2f}]"


if __name__ == "__main__":
    main()
