"""The curve of a scored plan: PCC over the quantity that was changed, a panel for each kind of diffuser."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spt.evaluation.protocols.scored import ScoredPlan
from spt.evaluation.protocols.tables import WORDS

LOGARITHMIC = 10
"""From this ratio of the largest to the smallest value on the axis is logarithmic."""


def curve(scored: ScoredPlan) -> Figure:
    """Draw the mean PCC of every method with its standard error; what the network was trained with is marked."""
    kinds = scored.plan.kinds
    figure = Figure(figsize=(5.2 * len(kinds) + 2.2, 4.2), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        _panel(axes, scored, kind)
        axes.set_title(WORDS[kind], fontsize=10)
    panels[0].set_ylabel("PCC (mean ± standard error)")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=9, frameon=False)
    figure.suptitle(f"{scored.network}: {scored.plan.title}", fontsize=11)
    return figure


def _panel(axes: Axes, scored: ScoredPlan, kind: str) -> None:
    numbers = [number for number, each in scored.results if each == kind]
    at = [float(scored.plan.points[number].value or 0) for number in numbers]
    for place, method in enumerate(scored.methods):
        ends = [scored.scores(number, kind, method)["pcc"] for number in numbers]
        means, errors = ([_number(score[name]) for score in ends] for name in ("mean", "sem"))
        width, size, order = (2.4, 5, 3) if method == scored.network else (1.0, 3, 2)
        axes.errorbar(
            at, means, errors, color=f"C{place}", label=method, marker="o", lw=width, markersize=size, zorder=order
        )
    for place, name in enumerate(scored.plan.points[0].references):
        pairs = [scored.plan.points[number].references[name] for number in numbers]
        means, errors = [mean for mean, _ in pairs], [sem for _, sem in pairs]
        axes.errorbar(at, means, errors, color="0.3", ls=("--", ":")[place % 2], lw=1.4, label=name)
    _mark(axes, scored)
    if min(at) > 0 and max(at) >= LOGARITHMIC * min(at):
        axes.set_xscale("log")
    axes.set(xlabel=scored.plan.axis)
    axes.grid(alpha=0.3)


def _mark(axes: Axes, scored: ScoredPlan) -> None:
    if scored.plan.trained is None:
        return
    low, high = scored.plan.trained
    if low == high:
        axes.axvline(low, color="0.6", ls="-", lw=6, alpha=0.3, label="training", zorder=0)
    else:
        axes.axvspan(low, high, color="0.6", alpha=0.2, label="training", zorder=0)


def _number(value: float | int | None) -> float:
    return float("nan") if value is None else float(value)
