"""Tables of a scored plan: one sentence, the terminal, Markdown, CSV, JSON."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from spt.evaluation.headline import best_baseline, headline, in_words
from spt.evaluation.protocols.plan import SEEN, UNSEEN
from spt.evaluation.protocols.scored import ScoredPlan
from spt.evaluation.score_table import CAPTION, MAIN, cell, console, markdown, print_table
from spt.evaluation.scores import Scores
from spt.files import atomic

WORDS = {SEEN: "trained diffusers", UNSEEN: "unseen diffusers"}
LEFT_OUT = ("raw speckle", "nearest neighbour")
"""Baselines that tables with a column a method leave out where 100 characters are too few: report.md has them."""

MOST = 5
"""Columns with an error that fit into 100 characters."""

COLUMNS = ("point", "value", "diffusers", "method", "metric", "mean", "sem", "n", "diffusers in all", "objects")


def sentences(scored: ScoredPlan) -> list[str]:
    """The result in words, a sentence for each kind of diffuser."""
    if _of_splits(scored):
        scores, baselines = _by_split(scored)
        if not scored.plan.own:
            return [in_words(f"On other data, {name}", each, baselines[name]) for name, each in scores.items()]
        return [headline(scores, baselines)]
    return [_range(scored, kind) for kind in scored.plan.kinds]


def _range(scored: ScoredPlan, kind: str) -> str:
    """The lowest and the highest PCC over the points, and where the network is above the best baseline."""
    where = f"Through {WORDS[kind]}"
    at = [number for number, each in scored.results if each == kind]
    means = {number: scored.results[number, kind].scores["pcc"]["mean"] for number in at}
    known = {number: float(mean) for number, mean in means.items() if mean is not None}
    if len(known) < 2:
        number = at[0]
        return in_words(where, scored.results[number, kind].scores, scored.baselines[number, kind])
    low, high = min(known, key=lambda number: known[number]), max(known, key=lambda number: known[number])
    said = " to ".join(f"{known[number]:.3f} ({scored.plan.points[number].label})" for number in (low, high))
    best = {number: best_baseline(scored.baselines[number, kind]) for number in known}
    if all(each is None for each in best.values()):
        return f"{where}: PCC {said}."
    above = sum(each is None or _above(scored, number, kind, each[0]) for number, each in best.items())
    return f"{where}: PCC {said}; clearly above the best baseline at {above} of {len(known)} points."


def _above(scored: ScoredPlan, number: int, kind: str, baseline: str) -> bool:
    """Whether the network's PCC, less its standard error, is above that of a baseline, plus its own."""
    ours, theirs = scored.results[number, kind].scores["pcc"], scored.baselines[number, kind][baseline]["pcc"]
    return float(ours["mean"] or 0) - float(ours["sem"] or 0) > float(theirs["mean"] or 0) + float(theirs["sem"] or 0)


def show(scored: ScoredPlan) -> None:
    """Print sentences and table, at most 100 columns wide."""
    out = console()
    out.print(" ".join(sentences(scored)), markup=False, highlight=False)
    if _of_splits(scored):
        print_table(scored.network, *_by_split(scored))
    else:
        for kind in scored.plan.kinds:
            out.print(_printed(scored, kind))
        out.print(CAPTION, highlight=False)


def _printed(scored: ScoredPlan, kind: str) -> Table:
    """PCC of every method in a column of its own; the best baseline alone where 100 columns are too few."""
    methods, references = list(scored.methods), _references(scored)
    for name in LEFT_OUT:
        if len(methods) + len(references) > MOST and name in methods:
            methods.remove(name)
    short = len(methods) + len(references) > MOST
    title = f"PCC, {scored.plan.title}, {WORDS[kind]}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(scored.plan.axis or "objects", max_width=18)
    for name in [*([methods[0], "best baseline"] if short else methods), *references]:
        table.add_column(name, justify="right")
    for number, point in enumerate(scored.plan.points):
        if kind in point.pairs:
            cells = [cell(scored.scores(number, kind, name)["pcc"]) for name in methods]
            cells = [cells[0], _best(scored, number, kind)] if short else cells
            marked = f"{point.label} (trained)" if _trained(scored, point.value) else point.label
            table.add_row(marked, *cells, *(_pair(point.references.get(name)) for name in references))
    return table


def _best(scored: ScoredPlan, number: int, kind: str) -> str:
    """Name and PCC of the best baseline at a point."""
    best = best_baseline(scored.baselines[number, kind])
    return f"{best[0]} {cell(scored.baselines[number, kind][best[0]]['pcc'])}" if best else ""


def as_markdown(scored: Sequence[ScoredPlan], made: str) -> str:
    """All metrics of all methods: a table for each plan, kind of diffuser and metric.

    Args:
        scored: the plans.
        made: a sentence on what made them.
    """
    parts = []
    for plan in scored:
        parts += [f"## {plan.plan.title}", *sentences(plan), *(f"{note}" for note in plan.plan.notes)]
        for kind in plan.plan.kinds:
            metrics = list(dict.fromkeys([*MAIN, *next(iter(plan.results.values())).scores]))
            parts += [_block(plan, kind, metric) for metric in metrics]
        times = ", ".join(f"{name} {seconds * 1e3:.3g} ms" for name, seconds in plan.seconds.items())
        parts.append(f"Time for an image: {times}.")
    return "\n\n".join([*parts, f"{CAPTION} {made}"]) + "\n"


def _block(scored: ScoredPlan, kind: str, metric: str) -> str:
    methods = [
        name
        for name in scored.methods
        if all(metric in scored.scores(number, each, name) for number, each in scored.results)
    ]
    references = _references(scored) if metric == "pcc" else []
    header = [f"{metric.upper()}, {WORDS[kind]}: {scored.plan.axis or 'objects'}", "images", *methods, *references]
    rows = [
        [
            point.label,
            str(len(point.pairs[kind])),
            *(cell(scored.scores(number, kind, name)[metric]) for name in methods),
            *(_pair(point.references.get(name)) for name in references),
        ]
        for number, point in enumerate(scored.plan.points)
        if kind in point.pairs
    ]
    return markdown([header, *rows])


def write_csv(path: Path, scored: ScoredPlan) -> None:
    """Every score in a row of its own."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, kind in scored.results:
            point = scored.plan.points[number]
            at = [point.label, "" if point.value is None else point.value, kind]
            for method in scored.methods:
                for metric, score in scored.scores(number, kind, method).items():
                    writer.writerow([*at, method, metric, *_numbers(score)])
            for name, (mean, sem) in point.references.items():
                writer.writerow([*at, name, "correlation", mean, sem, "", "", ""])


def as_json(scored: ScoredPlan) -> dict[str, Any]:
    """Axis and points, as ``metrics.json`` holds them; nothing in it depends on the time that it took."""
    points = []
    for number, point in enumerate(scored.plan.points):
        kinds = [kind for kind in (SEEN, UNSEEN) if (number, kind) in scored.results]
        points.append(
            {
                "label": point.label,
                "value": point.value,
                "network": {kind: scored.results[number, kind].scores for kind in kinds},
                "baselines": {kind: scored.baselines[number, kind] for kind in kinds},
                "references": {name: {"mean": m, "sem": sem} for name, (m, sem) in point.references.items()},
            }
        )
    return {"axis": scored.plan.axis, "points": points, "notes": list(scored.plan.notes)}


def _of_splits(scored: ScoredPlan) -> bool:
    """Whether every point is one split of the data: then a column a split is the better table."""
    return not scored.plan.axis and all(len(point.pairs) == 1 for point in scored.plan.points)


def _by_split(scored: ScoredPlan) -> tuple[dict[str, Scores], dict[str, dict[str, Scores]]]:
    """Split to scores of the network, and split to baseline to scores."""
    names = {at: scored.plan.points[at[0]].label for at in scored.results}
    return (
        {name: scored.results[at].scores for at, name in names.items()},
        {name: dict(scored.baselines[at]) for at, name in names.items()},
    )


def _trained(scored: ScoredPlan, value: float | None) -> bool:
    ends = scored.plan.trained
    return value is not None and ends is not None and ends[0] == ends[1] and math.isclose(value, ends[0], abs_tol=1e-12)


def _references(scored: ScoredPlan) -> list[str]:
    return list(dict.fromkeys(name for point in scored.plan.points for name in point.references))


def _pair(value: tuple[float, float] | None) -> str:
    if value is None:
        return ""
    return f"{value[0]:.3f} ± {value[1]:.3f}" if value[1] else f"{value[0]:.3f}"


def _numbers(score: Any) -> list[Any]:
    return ["" if score.get(name) is None else score[name] for name in ("mean", "sem", "n", "diffusers", "objects")]
