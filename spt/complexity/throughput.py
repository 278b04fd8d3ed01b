"""Throughput and inference time of networks on the machine at hand: eager and compiled, thread by thread."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from spt.complexity.profile import unchanged
from spt.complexity.sheet import Row, Sheet
from spt.complexity.timing import Timing, time_call

GAIN = 1.02
"""A larger batch has to bring this much more throughput to be worth another doubling."""


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """That many CPU threads inside, as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def throughput(
    network: str,
    model: nn.Module,
    px: int,
    batch: int,
    max_batch: int,
    repeats: int,
    device: torch.device,
    compiled: bool,
) -> Iterator[Row]:
    """Time one network: at ``batch``, then at doubled batches while throughput still grows.

    Args:
        network: its name.
        model: the network.
        px: image side.
        batch: the batch that is always timed.
        max_batch: where the search for the best batch ends.
        repeats: timed calls.
        device: where it runs.
        compiled: by ``torch.compile``.
    Yields:
        A row for ``batch`` and, where another batch is better, one for the best.
    """
    model = model.to(device)
    with unchanged(model), torch.inference_mode():
        call = torch.compile(model) if compiled else model
        rows: dict[int, Row] = {}
        for size in _batches(batch, max_batch):
            timing = time_call(partial(call, torch.rand(size, 1, px, px, device=device)), repeats)
            rows[size] = _row(network, px, size, timing, "compiled" if compiled else "eager")
            if size > batch and rows[size]["images/s"] < GAIN * max(r["images/s"] for s, r in rows.items() if s < size):
                break
    best = max(rows, key=lambda size: rows[size]["images/s"])
    yield {**rows[batch], "best": "best" if best == batch else ""}
    if best != batch:
        yield {**rows[best], "best": "best"}


def _batches(batch: int, most: int) -> Iterator[int]:
    yield batch
    size = 1
    while size <= most:
        if size != batch:
            yield size
        size *= 2


def _row(network: str, px: int, size: int, timing: Timing, mode: str) -> Row:
    return {
        "network": network,
        "px": px,
        "mode": mode,
        "threads": torch.get_num_threads(),
        "batch": size,
        "ms per batch": round(1e3 * timing.median, 3),
        "least..greatest": f"{1e3 * timing.least:.1f}..{1e3 * timing.greatest:.1f}",
        "images/s": round(size / timing.median, 3),
    }


def timing_sheet(
    builders: Mapping[str, Callable[[], nn.Module]],
    sizes: Mapping[str, list[int]],
    threads: tuple[int, ...],
    compiled: bool,
    batch: int,
    max_batch: int,
    repeats: int,
    device: torch.device,
) -> Sheet:
    """Throughput of every network at every size that it takes, with every number of threads, eager and compiled."""
    rows: list[Row] = []
    for name, build in builders.items():
        for px in sizes.get(name, []):
            for count in threads:
                for mode in (False, True) if compiled else (False,):
                    torch.compiler.reset()
                    with cpu_threads(count):
                        rows += throughput(name, build(), px, batch, max_batch, repeats, device, mode)
    notes = [f"float32, channels first, inference mode, {repeats} timed calls after 2, on {device.type}; median."]
    return Sheet("throughput", "Throughput and inference time", rows, notes)


def fastest(sheet: Sheet, batch: int) -> dict[tuple[str, int], float]:
    """(network, px) -> least median time of that batch [s] over threads and modes."""
    found: dict[tuple[str, int], float] = {}
    for row in sheet.rows:
        if row["batch"] == batch:
            key = (row["network"], row["px"])
            found[key] = min(row["ms per batch"] / 1e3, found.get(key, float("inf")))
    return found
