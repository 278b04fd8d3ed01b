"""The figure of a comparison: a heat map of two settings, or bars; a panel a split, seen and unseen side by side."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spt.evaluation.compare.comparison import Comparison, Row
from spt.evaluation.compare.formats import number
from spt.evaluation.pictures import RGB

BLUE, RED = "#3465a4", "#cc4125"


def comparison_figure(c: Comparison, metric: str) -> RGB:
    """Draw one metric of every configuration: a heat map where two settings differ, else bars.

    Bars carry ± where it is known; a dashed line is the best simple method. Cells of a heat map that no run fills are
    grey.
    """
    splits = [split for name, split in c.columns if name == metric]
    two = len(c.keys) == 2 and all(len(_values(c, k)) > 1 for k in range(2))
    if two:
        size = max(3.6, 1.25 * len(_values(c, 1)) + 1.6) * len(splits), 0.55 * len(_values(c, 0)) + 1.6
    else:
        longest = max(len(", ".join(row.labels)) for row in c.rows)
        size = 3.4 * len(splits) + 1 + 0.08 * longest, 0.34 * len(c.rows) + 1.5
    figure = Figure(figsize=size, dpi=150)
    canvas = FigureCanvasAgg(figure)
    panels: list[Axes] = list(figure.subplots(1, len(splits), squeeze=False, sharey=True)[0])
    (_heat_maps if two else _bars)(panels, c, metric, splits)
    figure.suptitle(textwrap.fill(f"{metric.upper()}. {c.title}", round(12 * size[0])), fontsize=11)
    figure.tight_layout()
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _values(c: Comparison, key: int) -> list[str]:
    """What a setting takes, in the order of the rows."""
    return list(dict.fromkeys(row.labels[key] for row in c.rows)) if key < len(c.keys) else []


def _mean(row: Row, metric: str, split: str) -> float:
    mean = row.mean((metric, split))
    return math.nan if mean is None else mean


def _heat_maps(panels: Sequence[Axes], c: Comparison, metric: str, splits: Sequence[str]) -> None:
    down, across = _values(c, 0), _values(c, 1)
    for axes, split in zip(panels, splits, strict=True):
        means = np.full((len(down), len(across)), math.nan)
        for row in c.rows:
            means[down.index(row.labels[0]), across.index(row.labels[1])] = _mean(row, metric, split)
        axes.set_facecolor("0.9")
        image = axes.imshow(means, cmap="viridis", aspect="auto")
        for row in c.rows:
            y, x = down.index(row.labels[0]), across.index(row.labels[1])
            _write(axes, x, y, row, (metric, split), float(np.asarray(image.norm(means[y, x]))), c)
        axes.set_xticks(range(len(across)), across, rotation=30, ha="right", fontsize=8)
        axes.set_yticks(range(len(down)), down, fontsize=8)
        _title(axes, c, (metric, split))
        axes.set_xlabel(c.keys[1], fontsize=9)
    panels[0].set_ylabel(c.keys[0], fontsize=9)


def _title(axes: Axes, c: Comparison, column: tuple[str, str]) -> None:
    """The split, and its best simple method."""
    top = c.best(c.baselines, column)
    simple = f"\nbest simple method: {top.labels[0]}, {number(top.scores[column])}" if top else ""
    axes.set_title(f"{column[1]}{simple}", fontsize=8)


def _write(axes: Axes, x: int, y: int, row: Row, column: tuple[str, str], shade: float, c: Comparison) -> None:
    if column in row.scores:
        text, colour = number(row.scores[column]).replace(" ± ", "\n± "), "black" if shade > 0.6 else "white"
        weight = "bold" if row is c.best(c.rows, column) else "normal"
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color=colour, weight=weight)


def _bars(panels: Sequence[Axes], c: Comparison, metric: str, splits: Sequence[str]) -> None:
    labels = [", ".join(row.labels) for row in c.rows]
    for axes, split in zip(panels, splits, strict=True):
        means = [_mean(row, metric, split) for row in c.rows]
        scores = [row.scores.get((metric, split)) for row in c.rows]
        spread = [score.spread if score is not None and score.spread is not None else 0.0 for score in scores]
        axes.barh(range(len(labels)), means, xerr=spread, color=BLUE, ecolor="black", capsize=3, height=0.7)
        if top := c.best(c.baselines, (metric, split)):
            axes.axvline(_mean(top, metric, split), color=RED, linestyle="--", linewidth=1.2)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        _title(axes, c, (metric, split))
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].invert_yaxis()
    panels[0].set_ylabel(", ".join(c.keys), fontsize=8)
