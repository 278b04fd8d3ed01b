"""How cost, memory and time grow with the size of the image and with the batch: exponents with their errors."""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spt.complexity.footprint import training_memory
from spt.complexity.profile import profile
from spt.complexity.sheet import Row, Sheet
from spt.complexity.timing import PeakMemory, time_call
from spt.files import atomic

SIZES = (64, 128, 192, 256, 512)
TIMED = (64, 128, 192, 256)
BATCHES = (1, 2, 4, 8)
BATCH_SIDE = 64
Case = tuple[int, int]
"""Image side and batch."""

QUANTITIES = {
    "MACs": "counted",
    "all operations": "counted",
    "memory access": "counted",
    "activations for backward": "counted",
    "tensors alive": "counted",
    "time": "measured",
    "peak memory": "measured",
}


@dataclass(frozen=True)
class Fit:
    """A power law ``y = factor x**exponent``.

    Args:
        exponent: slope of log y over log x.
        error: its standard error from the scatter of the points.
        factor: y at x = 1.
    """

    exponent: float
    error: float
    factor: float


def fit_power(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Fit a power law by least squares on logarithms.

    Raises:
        ValueError: if there are fewer than three points, or one is not positive.
    """
    if len(x) < 3 or min(*x, *y) <= 0:
        raise ValueError(f"a power law needs three positive points or more, got x = {list(x)}, y = {list(y)}.")
    u, v = np.log(x), np.log(y)
    spread = ((u - u.mean()) ** 2).sum()
    slope = float(((u - u.mean()) * v).sum() / spread)
    rest = v - v.mean() - slope * (u - u.mean())
    error = math.sqrt((rest**2).sum() / (len(x) - 2) / spread)
    return Fit(slope, error, math.exp(v.mean() - slope * u.mean()))


def counted_points(model: nn.Module, px: int, batch: int) -> dict[str, float]:
    """What is known without running: operations and bytes of the batch."""
    x = torch.zeros(batch, 1, px, px)
    cost = profile(model, x)
    saved = training_memory(model, x).saved
    return {
        "MACs": cost.macs,
        "all operations": cost.flops + cost.other,
        "memory access": cost.bytes,
        "activations for backward": saved,
        "tensors alive": cost.activation_bytes,
    }


def measured_points(build: Callable[[], nn.Module], cases: Sequence[Case], repeats: int) -> list[dict[str, float]]:
    """Time [s] and peak memory [bytes] of forward passes on the CPU, in one process of their own.

    Its C library hands freed memory back at once, so that what one case used is not hidden in the next.
    """
    spawn = multiprocessing.get_context("spawn")
    with (
        _environment(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="0"),
        ProcessPoolExecutor(1, spawn) as pool,
    ):
        return pool.submit(_run, build, cases, repeats, torch.get_num_threads()).result()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _run(build: Callable[[], nn.Module], cases: Sequence[Case], repeats: int, threads: int) -> list[dict[str, float]]:
    torch.set_num_threads(threads)
    model = build().eval()
    with torch.inference_mode():
        model(torch.rand(1, 1, *2 * cases[0][:1]))  # libraries are loaded before the first measurement
        return [_measured(model, torch.rand(batch, 1, px, px), repeats) for px, batch in cases]


def _measured(model: nn.Module, speckle: Tensor, repeats: int) -> dict[str, float]:
    with PeakMemory(speckle.device) as memory:
        model(speckle)
    timing = time_call(lambda: model(speckle), repeats, warm_up=0)
    return {"time": timing.median} | ({} if memory.bytes is None else {"peak memory": memory.bytes})


def points(builders: Mapping[str, Callable[[], nn.Module]], repeats: int) -> tuple[list[Row], list[Row]]:
    """Every network at every size that it takes at batch 1, and at every batch at 64 px."""
    by_size: list[Row] = []
    by_batch: list[Row] = []
    for name, build in builders.items():
        model = build()
        rows = [_counted_row(name, model, px, 1) for px in SIZES]
        rows += [_counted_row(name, model, BATCH_SIDE, batch) for batch in BATCHES]
        known = {(row["px"], row["batch"]): row for row in rows if row}
        cases = [case for case in known if case[0] in TIMED]
        for case, measured in zip(cases, measured_points(build, cases, repeats) if cases else [], strict=True):
            known[case] |= measured
        by_size += [row for (_, batch), row in known.items() if batch == 1]
        by_batch += [row for (px, _), row in known.items() if px == BATCH_SIDE]
    return by_size, by_batch


def _counted_row(name: str, model: nn.Module, px: int, batch: int) -> Row | None:
    try:
        return {"network": name, "px": px, "batch": batch, **counted_points(model, px, batch)}
    except ValueError:  # a size that this network refuses
        return None


def fits(by_size: Iterable[Row], by_batch: Iterable[Row]) -> Sheet:
    """Exponents of every quantity in pixels and in the batch; 1 is linear."""
    rows: list[Row] = []
    for over, points_, scale in (
        ("pixels", list(by_size), lambda r: r["px"] ** 2),
        ("batch", list(by_batch), lambda r: r["batch"]),
    ):
        for name in dict.fromkeys(row["network"] for row in points_):
            for quantity, how in QUANTITIES.items():
                known = [row for row in points_ if row["network"] == name and row.get(quantity)]
                if len(known) >= 3:
                    fit = fit_power([scale(row) for row in known], [row[quantity] for row in known])
                    rows.append({"network": name, "over": over, "quantity": quantity, "points": len(known)})
                    rows[-1] |= {"how": how, "exponent": round(fit.exponent, 4), "error": round(fit.error, 4)}
    notes = [
        f"y = a x^exponent by least squares on logarithms, with the standard error of the exponent. Over pixels: "
        f"batch 1, {SIZES[0]} to {SIZES[-1]} px counted, {', '.join(map(str, TIMED))} px measured. Over the batch: "
        f"{BATCH_SIDE} px, batches {', '.join(map(str, BATCHES))}. Peak memory: what the process holds above its "
        "weights, one forward pass.",
    ]
    return Sheet("scaling", "Growth: exponents", rows, notes)


def measured_sheet(rows: Iterable[Row]) -> Sheet:
    """Every point of the fits."""
    columns = ("network", "px", "batch", *QUANTITIES)
    notes = ["Time in s, memory in bytes; blank where only counted."]
    unique = {(row["network"], row["px"], row["batch"]): row for row in rows}.values()
    return Sheet("scaling_points", "Growth: points", [{name: r.get(name) for name in columns} for r in unique], notes)


def draw(by_size: Sequence[Row], path: Path) -> None:
    """Draw operations and measured time over the pixels, one line a network, with the line of linear growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = {"MACs": "MACs of an image", "activations for backward": "activations kept, byte", "time": "time, s"}
    for axis, (quantity, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name in dict.fromkeys(row["network"] for row in by_size):
            known = [row for row in by_size if row["network"] == name and row.get(quantity)]
            if known:
                axis.loglog([r["px"] for r in known], [r[quantity] for r in known], "o-", label=name, markersize=4)
        _guide(axis)
        axis.set_xticks(SIZES, [str(px) for px in SIZES], minor=False)
        axis.minorticks_off()
        axis.set_xlabel("image side, px")
        axis.set_title(label)
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    with atomic(path) as part:
        figure.savefig(part, dpi=90, format="png")


def _guide(axis: Any) -> None:
    """Draw growth in proportion to the pixels, from the lowest point."""
    low = min((line.get_ydata()[0] for line in axis.lines), default=None)
    if low is not None:
        axis.loglog(SIZES, [0.6 * low * (px / SIZES[0]) ** 2 for px in SIZES], "k--", lw=1, label="linear in pixels")
