"""Throughput and inference time of networks on the machine at hand: eager and compiled, thread by thread."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.utils.benchmark.utils.common import set_torch_threads

from spt.complexity.sheet import Row, Sheet
from spt.complexity.timing import time_call

GAIN = 1.02
"""A larger batch has to bring this much more throughput to be worth another doubling."""


def throughput(
    model: nn.Module, px: int, batch: int, max_batch: int, repeats: int, device: torch.device, compiled: bool
) -> Iterator[Row]:
    """Time one network: at ``batch``, then at doubled batches while throughput still grows.

    Args:
        model: the network; it is moved to ``device`` and set to evaluation mode.
        px: image side.
        batch: the batch that is always timed.
        max_batch: where the search for the best batch ends.
        repeats: timed calls.
        device: where it runs.
        compiled: by ``torch.compile``.
    Yields:
        A row for ``batch`` and, where another batch is better, one for the best.
    """
    model = model.to(device).eval()
    call = torch.compile(model) if compiled else model
    rows: dict[int, Row] = {}
    doubled = (2**k for k in range(max_batch.bit_length()))
    for size in dict.fromkeys([batch, *doubled]):
        speckle = torch.rand(size, 1, px, px, device=device)
        with torch.inference_mode():
            taken = time_call(lambda speckle=speckle: call(speckle), repeats)  # type: ignore[misc]
        rows[size] = {
            "batch": size,
            "ms per batch": round(1e3 * taken.median, 3),
            "least..greatest": f"{1e3 * min(taken.times):.1f}..{1e3 * max(taken.times):.1f}",
            "images/s": round(size / taken.median, 3),
        }
        if size > batch and rows[size]["images/s"] < GAIN * max(r["images/s"] for s, r in rows.items() if s < size):
            break
    best = max(rows, key=lambda size: rows[size]["images/s"])
    for size in dict.fromkeys([batch, best]):
        yield rows[size] | {"best": "best" if size == best else ""}


def throughput_sheet(
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
                for mode in ("eager", "compiled") if compiled else ("eager",):
                    torch.compiler.reset()
                    setting = {"network": name, "px": px, "mode": mode, "threads": count}
                    with set_torch_threads(count):
                        timed = throughput(build(), px, batch, max_batch, repeats, device, mode == "compiled")
                        rows += [setting | row for row in timed]
    note = f"float32, channels first, inference mode, about {repeats} timed calls after 2, on {device.type}; median."
    return Sheet("throughput", "Throughput and inference time", rows, [note])


def fastest(sheet: Sheet, batch: int) -> dict[tuple[str, int], float]:
    """(network, px) -> least median time of that batch [s] over threads and modes."""
    found: dict[tuple[str, int], float] = {}
    for row in sheet.rows:
        if row["batch"] == batch:
            key = (row["network"], row["px"])
            found[key] = min(row["ms per batch"] / 1e3, found.get(key, float("inf")))
    return found
