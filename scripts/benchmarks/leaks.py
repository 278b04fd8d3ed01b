"""Time of the checks before the first epoch (leaks, unusable images), and their share of this epoch.

python scripts/benchmarks/leaks.py --pairs 60000 --size 256 --repeats 3
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from jaxtyping import UInt8
from machine import add_device, built, hardware, parser, positive, show
from networks import training_step
from rounds import milliseconds
from torch import Tensor

from spt.complexity.timing import time_call
from spt.data.files.frames import Frames
from spt.data.leaks import check_leaks
from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.data.unusable import refuse_unusable


def main() -> None:
    """Make the splits, check them, time a training step beside it."""
    options = parser(__doc__, sizes=[256], repeats=3)
    options.add_argument("--pairs", type=positive, default=60000, help="training pairs")
    options.add_argument("--evaluated", type=positive, default=1000, help="pairs of each of two evaluated splits")
    options.add_argument("--objects", type=positive, help="side of the objects [px]; that of the speckles if not given")
    options.add_argument("--batch", type=positive, default=2, help="pairs of a training step")
    add_device(options)
    asked = options.parse_args()
    rows = [
        measure(size, asked.objects or size, asked.pairs, asked.evaluated, asked.repeats)
        | measure_step(size, asked.batch, asked.repeats, asked.device)
        for size in asked.sizes
    ]
    show(table(rows), f"{hardware(asked.device)}; {torch.get_num_threads()} threads check. Median of {asked.repeats}.")


class Drawn(Frames):
    """Random images without an end in little memory: a store of them, each time with other bits turned.

    Args:
        count: number of the images.
        size: their side [px].
        seed: of the images.
        stored: images in memory.
    """

    def __init__(self, count: int, size: int, seed: int, stored: int = 512) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.store = torch.randint(0, 256, (stored, size, size), dtype=torch.uint8, generator=generator)
        self.keys = torch.randint(0, 256, (count, size), dtype=torch.uint8, generator=generator)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (len(self.keys), *self.store.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """8 bit."""
        return torch.uint8

    def read(self, rows: Sequence[int]) -> UInt8[Tensor, "b h w"]:
        """Draw some images."""
        numbers = torch.tensor(rows)
        return self.store[numbers % len(self.store)] ^ self.keys[numbers][:, None]

    def name(self, row: int) -> str:
        """Number of an image."""
        return f"image {row}"


def splits(size: int, objects: int, pairs: int, evaluated: int) -> dict[str, Pairs]:
    """A training and two evaluated splits without a leak."""
    counts = {"train": pairs, "val_seen": evaluated, "test_unseen": evaluated}
    return {
        name: Pairs(name, Drawn(n, size, 2 * k), Drawn(n, objects, 2 * k + 1), torch.full((n,), k))
        for k, (name, n) in enumerate(counts.items())
    }


def measure(size: int, objects: int, pairs: int, evaluated: int, repeats: int) -> dict[str, Any]:
    """Time the checks of splits as a training makes them, and the reading in them.

    Returns:
        ``seconds`` of each check, ``reading`` of them, and what was asked for.
    """
    made = splits(size, objects, pairs, evaluated)
    look = partial(refuse_unusable, preparation=Amplitude())
    seconds = [_timed(lambda: check_leaks(made, look=look)) for _ in range(repeats)]
    reading = _timed(lambda: read_once(made["train"]))
    return {"pairs": pairs, "evaluated": 2 * evaluated, "size": size, "seconds": seconds, "reading": reading}


def read_once(pairs: Pairs) -> None:
    """Read the images of a split, 64 at a time."""
    for images in (pairs.speckle, pairs.target):
        for start in range(0, len(pairs), 64):
            images[start : start + 64]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure_step(size: int, batch: int, repeats: int, device: str) -> dict[str, Any]:
    """Time a training step of the default network.

    Returns:
        ``batch`` and the seconds of each ``step``.
    """
    model = built(part="model").to(device).to(memory_format=torch.channels_last)
    speckle, dtype = (
        torch.randn(batch, 1, size, size, device=device),
        torch.bfloat16 if device == "cuda" else torch.float32,
    )
    return {"batch": batch, "step": time_call(training_step(model, speckle, dtype), repeats).times}


def table(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure` and :func:`measure_step`.
    """
    yield [
        "pairs",
        "px",
        "check, s (least..greatest)",
        "of it drawing the images",
        "training step",
        "epoch, s",
        "share",
    ]
    for row in rows:
        check, epoch = median(row["seconds"]), median(row["step"]) * row["pairs"] / row["batch"]
        yield [
            *(f"{row['pairs']:,} + {row['evaluated']:,}", str(row["size"])),
            f"{check:.1f} ({min(row['seconds']):.1f}..{max(row['seconds']):.1f})",
            *(f"{row['reading']:.1f}", f"{milliseconds(row['step'])} ms for {row['batch']}", f"{epoch:.0f}"),
            f"{100 * check / epoch:.2f} %",
        ]


if __name__ == "__main__":
    main()
