"""Loss and monitored scores over the epochs."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Rows = Sequence[Mapping[str, float]]
"""Lines of ``metrics.csv``."""


def curves(rows: Rows, metric: str = "pcc") -> Figure | None:
    """Training loss, and a metric of every split that was watched; None where fewer than two epochs are written down.

    Args:
        rows: one an epoch.
        metric: drawn at the right.
    """
    if len(rows) < 2:
        return None
    names = [name for name in rows[0] if name.endswith(f"/{metric}")]
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, columns in ((left, ["train/loss"]), (right, names)):
        for name in columns:
            known = [(row["epoch"], row[name]) for row in rows if name in row]
            axes.plot(*zip(*known, strict=True), marker="." if len(known) < 40 else None, label=name)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("training loss")
    right.set_ylabel(metric.upper())
    if names:
        right.legend(frameon=False)
    return figure
