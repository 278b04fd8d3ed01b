"""How cost, memory and time grow: with image size and batch, in exponents; and of four layers, by the literature."""

import ctypes
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from spt.complexity.networks import Builder, Builders, measure
from spt.complexity.sheet import Row, Sheet
from spt.complexity.timing import PeakMemory, time_call
from spt.errors import InvalidValue
from spt.files import atomic

SIZES = (64, 128, 192, 256, 512)
TIMED = (64, 128, 192, 256)
BATCHES = (1, 2, 4, 8)
BATCH_SIDE = 64
COUNTED = ("MACs", "all operations", "memory access", "activations for backward", "tensors alive")
MEASURED = ("time", "peak memory")


def fit_power(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Fit ``y = a x**exponent`` by least squares on the logarithms of three positive points or more.

    Returns:
        The exponent, and its standard error from the scatter of the points.
    """
    (exponent, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    return float(exponent), math.sqrt(covariance[0, 0])


def points(builders: Builders, repeats: int) -> list[Row]:
    """Every network at every size that it takes at batch 1, and at every batch at 64 px."""
    rows: list[Row] = []
    for name, build in builders.items():
        model, known = build(), {}
        for px, batch in dict.fromkeys([*((px, 1) for px in SIZES), *((BATCH_SIDE, batch) for batch in BATCHES)]):
            with suppress(ValueError):  # a size that this network refuses
                cost = measure(name, model, px, batch)
                p, saved = cost.profile, cost.training.saved
                counted = (p.macs, p.flops + p.other, p.bytes, saved, p.activation_bytes)
                row: Row = {"network": name, "px": px, "batch": batch}
                known[px, batch] = row | dict(zip(COUNTED, counted, strict=True))
        cases = [case for case in known if case[0] in TIMED]
        # A process that did nothing before: what one case used is not hidden in memory that another one freed.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(_measured, build, cases, repeats, torch.get_num_threads()).result() if cases else []
        for case, times in zip(cases, measured, strict=True):
            known[case] |= times
        rows += known.values()
    return rows


def _measured(build: Builder, cases: Sequence[tuple[int, int]], repeats: int, threads: int) -> list[Row]:
    """Time [s] and peak memory [bytes] of forward passes on the CPU, for every (image side, batch)."""
    with suppress(AttributeError):  # glibc: hand freed memory back at once (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
        ctypes.CDLL(None).mallopt(-3, 65536), ctypes.CDLL(None).mallopt(-1, 0)
    torch.set_num_threads(threads)
    model, rows = build().eval(), []
    with torch.inference_mode():
        model(torch.rand(1, 1, cases[0][0], cases[0][0]))  # libraries are loaded before the first measurement
        for px, batch in cases:
            speckle = torch.rand(batch, 1, px, px)
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
                    line: Row = {"network": name, "over": over, "quantity": quantity, "points": len(known)}
                    line["how"] = "counted" if quantity in COUNTED else "measured"
                    table.append(line | {"exponent": round(exponent, 4), "error": round(error, 4)})
    note = (
        f"y = a x^exponent by least squares on logarithms, with the standard error of the exponent. Over pixels: "
        f"batch 1, {SIZES[0]} to {SIZES[-1]} px counted, {', '.join(map(str, TIMED))} px measured. Over the batch: "
        f"{BATCH_SIDE} px, batches {', '.join(map(str, BATCHES))}. Peak memory: what the process holds above its "
        "weights, one forward pass."
    )
    every = [{key: row.get(key) for key in ("network", "px", "batch", *COUNTED, *MEASURED)} for row in rows]
    units = ["Time in s, memory in bytes; blank where only counted."]
    return [
        Sheet("scaling", "Growth: exponents", table, [note]),
        Sheet("scaling_points", "Growth: points", every, units),
    ]


def draw_growth(rows: Sequence[Row], path: Path) -> None:
    """Draw operations, memory and measured time over the image side, with a dashed line of linear growth in pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = {"MACs": "MACs of an image", "activations for backward": "activations kept, byte", "time": "time, s"}
    for axis, (quantity, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        known = [row for row in rows if row["batch"] == 1 and row.get(quantity)]
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
    with atomic(path) as part:
        figure.savefig(part, dpi=90, format="png")


def layer_types(n: int, d: int, k: int, r: int) -> Sheet:
    """Table 1 of Attention Is All You Need in numbers: orders of growth of four layers without their constants.

    Args:
        n: sequence length.
        d: width of the representation.
        k: kernel size of the convolution, at least 2: a kernel of 1 links nothing.
        r: size of the neighbourhood of restricted self-attention.
    Raises:
        InvalidValue: if a number is out of range.
    Source: Vaswani et al., Attention Is All You Need (2017), Table 1; log_k(n) is for dilated convolutions, contiguous
        ones need n/k layers.
    """
    if min(n, d, r) < 1 or k < 2 or r > n:
        raise InvalidValue(f"layer_types needs n, d >= 1, k >= 2 and 1 <= r <= n, got n={n}, d={d}, k={k}, r={r}.")
    columns = ("layer type", "complexity per layer", "sequential operations", "maximum path length")
    rows = [
        ("self-attention", n**2 * d, 1, 1),
        ("recurrent", n * d**2, n, n),
        ("convolutional", k * n * d**2, 1, math.log(n, k)),
        ("restricted self-attention", r * n * d, 1, n / r),
    ]
    title = f"Attention Is All You Need, Table 1: n = {n}, d = {d}, k = {k}, r = {r}"
    return Sheet("layer_types", title, [dict(zip(columns, row, strict=True)) for row in rows])
