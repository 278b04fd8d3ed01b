"""Where parameters, operations and time of one network go: by module, as a table and a picture."""

import statistics
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import timer

from spt.complexity.module_names import ModuleNames
from spt.complexity.profile import Call, profile, unchanged
from spt.complexity.sheet import Row, Sheet
from spt.files import atomic

SHARES = ("parameters", "operations", "bytes", "time")


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
    owners = [_owner(name, depth) for name, _ in model.named_parameters()]
    busy = {group(call.module, depth) for call in counted.calls}.union(owners)
    rows = []
    for name in _groups(model, depth):
        if name in busy:
            calls = [call for call in counted.calls if group(call.module, depth) == name]
            count = sum(p.numel() for n, p in model.named_parameters() if _owner(n, depth) == name)
            rows.append(_row(name, count, calls, batch) | {"ms": 1e3 * seconds.pop(name, 0.0) / batch})
    rows[0]["ms"] += 1e3 * sum(seconds.values()) / batch  # containers that only pass on
    rows = _with_shares(rows)
    return Sheet(f"layers_{network}", f"{network}: where it goes, one image of {px} px", rows, _NOTES)


_NOTES = [
    "Gop: 2 per MAC and every other operation. MB moved: read and written by every operator for itself. ms: eager, "
    "float32, evaluation, this machine; median over the repeated passes, per image of the batch.",
]


def _row(name: str, parameters: int, calls: list[Call], batch: int) -> Row:
    operations = sum(2 * call.work.macs + call.work.other for call in calls)
    return {
        "module": name,
        "parameters": parameters,
        "operators": len(calls),
        "GMAC": sum(call.work.macs for call in calls) / batch / 1e9,
        "Gop": operations / batch / 1e9,
        "MB moved": sum(call.bytes for call in calls) / batch / 1e6,
    }


def _with_shares(rows: list[Row]) -> list[Row]:
    for share, column in zip(SHARES, ("parameters", "Gop", "MB moved", "ms"), strict=True):
        total = sum(row[column] for row in rows) or 1
        for row in rows:
            row[f"{share}, %"] = round(100 * row[column] / total, 2)
    return rows


def group(path: str, depth: int) -> str:
    """Return the first ``depth`` names of a module's path; "(network)" for the network itself."""
    return ".".join(path.split(".")[:depth]) or "(network)"


def _owner(parameter: str, depth: int) -> str:
    return group(parameter.rpartition(".")[0], depth)


def _groups(model: nn.Module, depth: int) -> list[str]:
    return list(dict.fromkeys(group(name, depth) for name, _ in model.named_modules()))


def time_modules(model: nn.Module, x: Any, depth: int, repeats: int) -> dict[str, float]:
    """Median time of each group of modules [s]; every moment of a pass belongs to exactly one."""
    passes: list[dict[str, float]] = []
    with unchanged(model), torch.inference_mode():
        for _ in range(repeats + 1):
            with _Stopwatch(model, depth) as watch:
                model(x)
            passes.append(watch.seconds)
    return {name: statistics.median(p.get(name, 0.0) for p in passes[1:]) for name in passes[0]}


class _Stopwatch(ModuleNames):
    def __init__(self, model: nn.Module, depth: int) -> None:
        super().__init__(model)
        self.depth = depth
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "_Stopwatch":
        super().__enter__()
        self._last = timer()
        return self

    def _credit(self) -> None:
        now, name = timer(), group(self.current, self.depth)
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

    def _entered(self, module: nn.Module, args: Any) -> None:
        self._credit()
        super()._entered(module, args)

    def _left(self, module: nn.Module, args: Any, out: Any) -> None:
        self._credit()
        super()._left(module, args, out)


def draw(sheet: Sheet, path: Path) -> None:
    """Draw the shares of every module as horizontal bars, top to bottom in the network's order."""
    from matplotlib.figure import Figure

    names, panels = [row["module"] for row in sheet.rows], SHARES
    figure = Figure(figsize=(11, 1.4 + 0.26 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, share, colour in zip(axes, panels, ("#4477aa", "#ee6677", "#ccbb44", "#228833"), strict=True):
        values = [row[f"{share}, %"] for row in sheet.rows]
        axis.barh(names, values, color=colour)
        axis.set_title(share)
        axis.set_xlim(0, 1.25 * max(values))
        axis.set_xlabel("% of the whole")
        axis.spines[["top", "right"]].set_visible(False)
        for k, value in enumerate(values):
            if value >= 0.5:
                axis.text(value, k, f" {value:.1f}", va="center", fontsize=8)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(sheet.title)
    with atomic(path) as part:
        figure.savefig(part, dpi=80, format="png")
