"""How cost, memory and time grow with the size of the image and with the batch: exponents with their errors."""

import ctypes
import math
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spt.complexity.footprint import training_memory
from spt.complexity.profile import profile
from spt.complexity.sheet import Row, Sheet, save_figure
from spt.complexity.timing import PeakMemory, time_call

SIZES = (64, 128, 192, 256, 512)
TIMED = (64, 128, 192, 256)
BATCHES = (1, 2, 4, 8)
BATCH_SIDE = 64
COUNTED = ("MACs", "all operations", "memory access", "activations for backward", "tensors alive")
MEASURED = ("time", "peak memory")


def fit_power(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Fit ``y = a x**exponent`` by least squares on logarithms.

    Returns:
        The exponent, and its standard error from the scatter of the points.
    Raises:
        ValueError: if there are fewer than three points, or one is not positive.
    """
    if len(x) < 3 or min(*x, *y) <= 0:
        raise ValueError(f"a power law needs three positive points or more, got x = {list(x)}, y = {list(y)}.")
    (exponent, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    return float(exponent), math.sqrt(covariance[0, 0])


def points(builders: Mapping[str, Callable[[], nn.Module]], repeats: int) -> list[Row]:
    """Every network at every size that it takes at batch 1, and at every batch at 64 px."""
    rows: list[Row] = []
    for name, build in builders.items():
        model, known = build(), {}
        for px, batch in dict.fromkeys([*((px, 1) for px in SIZES), *((BATCH_SIDE, batch) for batch in BATCHES)]):
            with suppress(ValueError):  # a size that this network refuses
                known[px, batch] = {"network": name, "px": px, "batch": batch, **_counted(model, px, batch)}
        cases = [case for case in known if case[0] in TIMED]
        # A process that did nothing before: what one case used is not hidden in memory that another one freed.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(_measured, build, cases, repeats, torch.get_num_threads()).result()
        for case, row in zip(cases, measured, strict=True):
            known[case] |= row
        rows += known.values()
    return rows


def _counted(model: nn.Module, px: int, batch: int) -> dict[str, float]:
    x = torch.zeros(batch, 1, px, px)
    cost = profile(model, x)
    saved = training_memory(model, x).saved
    values = (cost.macs, cost.flops + cost.other, cost.bytes, saved, cost.activation_bytes)
    return dict(zip(COUNTED, values, strict=True))


def _measured(
    build: Callable[[], nn.Module], cases: Sequence[tuple[int, int]], repeats: int, threads: int
) -> list[dict[str, float | None]]:
    """Time [s] and peak memory [bytes] of forward passes on the CPU, for every (image side, batch)."""
    with suppress(AttributeError):  # glibc: hand freed memory back at once (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
        ctypes.CDLL(None).mallopt(-3, 65536), ctypes.CDLL(None).mallopt(-1, 0)
    torch.set_num_threads(threads)
    model, rows = build().eval(), []
    with torch.inference_mode():
        for k, (px, batch) in enumerate(cases):
            speckle = torch.rand(batch, 1, px, px)
            if k == 0:
                model(speckle)  # libraries are loaded before the first measurement
            with PeakMemory(speckle.device) as memory:
                model(speckle)
            taken = time_call(lambda speckle=speckle: model(speckle), repeats)  # type: ignore[misc]
            rows.append(dict(zip(MEASURED, (taken.median, memory.bytes), strict=True)))
    return rows


def growth_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Exponents of every quantity in pixels and in the batch, 1 is linear; and the points that they are fitted to."""
    table: list[Row] = []
    for over, chosen in (
        ("pixels", [(row["px"] ** 2, row) for row in rows if row["batch"] == 1]),
        ("batch", [(row["batch"], row) for row in rows if row["px"] == BATCH_SIDE]),
    ):
        for name in dict.fromkeys(row["network"] for _, row in chosen):
            for quantity in (*COUNTED, *MEASURED):
                known = [(x, row[quantity]) for x, row in chosen if row["network"] == name and row.get(quantity)]
                if len(known) >= 3:
                    exponent, error = fit_power(*zip(*known, strict=True))
                    line = {"network": name, "over": over, "quantity": quantity, "points": len(known)}
                    line |= {"how": "counted" if quantity in COUNTED else "measured"}
                    table.append(line | {"exponent": round(exponent, 4), "error": round(error, 4)})
    note = (
        f"y = a x^exponent by least squares on logarithms, with the standard error of the exponent. Over pixels: "
        f"batch 1, {SIZES[0]} to {SIZES[-1]} px counted, {', '.join(map(str, TIMED))} px measured. Over the batch: "
        f"{BATCH_SIDE} px, batches {', '.join(map(str, BATCHES))}. Peak memory: what the process holds above its "
        "weights, one forward pass."
    )
    columns = ("network", "px", "batch", *COUNTED, *MEASURED)
    every = [{key: row.get(key) for key in columns} for row in rows]
    units = "Time in s, memory in bytes; blank where only counted."
    return [
        Sheet("scaling", "Growth: exponents", table, [note]),
        Sheet("scaling_points", "Growth: points", every, [units]),
    ]


def draw_growth(rows: Iterable[Row], path: Path) -> None:
    """Draw operations, memory and measured time over the image side, with a dashed line of linear growth in pixels."""
    from matplotlib.figure import Figure

    by_size = [row for row in rows if row["batch"] == 1]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = {"MACs": "MACs of an image", "activations for backward": "activations kept, byte", "time": "time, s"}
    for axis, (quantity, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        known = [row for row in by_size if row.get(quantity)]
        for name in dict.fromkeys(row["network"] for row in known):
            x, y = zip(*((r["px"], r[quantity]) for r in known if r["network"] == name), strict=True)
            axis.loglog(x, y, "o-", label=name, markersize=4)
        low = min((line.get_ydata()[0] for line in axis.lines), default=1.0)
        axis.loglog(SIZES, [0.6 * low * (px / SIZES[0]) ** 2 for px in SIZES], "k--", lw=1, label="linear in pixels")
        axis.set_xticks(SIZES, [str(px) for px in SIZES], minor=False)
        axis.minorticks_off()
        axis.set(xlabel="image side, px", title=label)
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    save_figure(figure, path, dpi=90)
