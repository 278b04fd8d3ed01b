"""Where parameters, operations and time of one network go: by module, as a table and a picture."""

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import timer

from spt.complexity.observation import ModuleNames, unchanged
from spt.complexity.profile import profile
from spt.complexity.sheet import Row, Sheet
from spt.files import atomic

COLUMNS = {"parameters": "parameters", "operations": "Gop", "bytes": "MB moved", "time": "ms"}
"""What is shared out, and the column it stands in."""


def layers(network: str, model: nn.Module, px: int, batch: int, depth: int = 2, repeats: int = 5) -> Sheet:
    """Split one forward pass by module.

    Args:
        network: its name.
        model: the network.
        px: image side.
        batch: images.
        depth: levels of module names that are kept apart.
        repeats: timed passes; the median counts.
    """
    speckle = torch.zeros(batch, 1, px, px)
    counted = profile(model, speckle)
    seconds = time_modules(model, speckle, depth, repeats)
    rows: list[Row] = []
    for name in dict.fromkeys(group(path, depth) for path, _ in model.named_modules()):
        calls = [call for call in counted.calls if group(call.module, depth) == name]
        owned = [p.numel() for path, p in model.named_parameters() if group(path.rpartition(".")[0], depth) == name]
        if calls or owned:
            macs, other = sum(call.work.macs for call in calls), sum(call.work.other for call in calls)
            row: Row = {"module": name, "parameters": sum(owned), "operators": len(calls)}
            row |= {"GMAC": macs / batch / 1e9, "Gop": (2 * macs + other) / batch / 1e9}
            row |= {"MB moved": sum(call.bytes for call in calls) / batch / 1e6}
            rows.append(row | {"ms": 1e3 * seconds.pop(name, 0.0) / batch})
    rows[0]["ms"] += 1e3 * sum(seconds.values()) / batch  # containers that only pass on
    for share, column in COLUMNS.items():
        total = sum(row[column] for row in rows) or 1
        for row in rows:
            row[f"{share}, %"] = round(100 * row[column] / total, 2)
    note = (
        "Gop: 2 per MAC and every other operation. MB moved: read and written by every operator for itself. ms: eager, "
        "float32, evaluation, this machine; median over the repeated passes, per image of the batch."
    )
    return Sheet(f"layers_{network}", f"{network}: where it goes, one image of {px} px", rows, [note])


def group(path: str, depth: int) -> str:
    """Return the first ``depth`` names of a module's path; "(network)" for the network itself."""
    return ".".join(path.split(".")[:depth]) or "(network)"


def time_modules(model: nn.Module, x: Any, depth: int, repeats: int) -> dict[str, float]:
    """Median time of each group of modules [s]; every moment of a pass belongs to exactly one."""
    passes: list[defaultdict[str, float]] = []
    last = 0.0

    def credit() -> None:
        nonlocal last
        now = timer()
        passes[-1][group(running.current, depth)] += now - last
        last = now

    running = ModuleNames(model, before_change=credit)
    with unchanged(model), torch.inference_mode(), running:
        for _ in range(repeats + 1):  # the first warms up
            passes.append(defaultdict(float))
            last = timer()
            model(x)
    return {name: statistics.median(p[name] for p in passes[1:]) for name in passes[0]}


def draw_shares(sheet: Sheet, path: Path) -> None:
    """Draw the shares of every module as horizontal bars, top to bottom in the network's order."""
    from matplotlib.figure import Figure

    names = [row["module"] for row in sheet.rows]
    figure = Figure(figsize=(11, 1.4 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(COLUMNS), sharey=True)
    for axis, share, colour in zip(axes, COLUMNS, ("#4477aa", "#ee6677", "#ccbb44", "#228833"), strict=True):
        values = [row[f"{share}, %"] for row in sheet.rows]
        bars = axis.barh(names, values, color=colour)
        axis.bar_label(bars, [f" {value:.1f}" if value >= 0.5 else "" for value in values], fontsize=8)
        axis.set(title=share, xlabel="% of the whole", xlim=(0, 1.25 * max(values)))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(sheet.title)
    with atomic(path) as part:
        figure.savefig(part, dpi=80, format="png")
