"""The final table: the network and the baselines, a column a split."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from spt.evaluation.scores import Score, Scores
from spt.files import atomic

MAIN = ("pcc", "ssim", "ji", "psnr")
"""The metrics of the printed table; metrics.json and report.md hold all."""

WIDTH = 100
"""Columns of the printed table where the output is no terminal."""

CAPTION = "Mean over images ± standard error. Images that share a diffuser or an object count as one cluster."

Split = Mapping[str, Scores]
Baselines = Mapping[str, Mapping[str, Scores]]


def rows(
    network: str, scores: Split, baselines: Baselines, metrics: Sequence[str] | None = None
) -> Iterator[list[str]]:
    """Rows of the final table, metric by metric: metric, method, then mean ± standard error for every split.

    All metrics of the network unless some are named. A baseline that lacks one (it has no logits) has no row there.
    """
    methods = {network: scores}
    for name in dict.fromkeys(name for split in baselines.values() for name in split):
        methods[name] = {split: baselines[split].get(name, {}) for split in scores}
    for metric in metrics or next(iter(scores.values())):
        for method, values in methods.items():
            if all(metric in values[split] for split in scores):
                yield [metric.upper(), method, *(cell(values[split][metric]) for split in scores)]


def print_table(network: str, scores: Split, baselines: Baselines) -> None:
    """Print the main metrics: a block a metric, a row a method, a column a split."""
    table = Table(caption=CAPTION, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("method")
    for split, values in scores.items():
        table.add_column("\n".join([split, *counts(values)]), justify="right")
    block = ""
    for metric, method, *cells in rows(network, scores, baselines, MAIN):
        if block and metric != block:
            table.add_section()
        shown = "" if metric == block else metric
        table.add_row(shown, method, *cells, style="bold" if method == network else None)
        block = metric
    console().print(table)


def console() -> Console:
    """What tables are printed on: a terminal as wide as it is, anything else as wide as :data:`WIDTH`."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDTH)


def write_markdown(path: Path, run: Mapping[str, Any], scores: Split, baselines: Baselines) -> None:
    """Write the final table of all metrics as Markdown, with what made it below."""
    header = ["metric", "method", *(f"{split} ({', '.join(counts(values))})" for split, values in scores.items())]
    table = markdown([header, *rows(run["network"], scores, baselines)])
    pooled = " ECE: pooled over all pixels of a split." if any("ece" in values for values in scores.values()) else ""
    made = (
        f"{run['parameters']:,} parameters, {run['epochs']} epochs, {run['seconds']:.0f} s on {run['device']}, "
        f"{run['precision']}."
    )
    with atomic(path) as part:
        part.write_text(f"{table}\n\n{CAPTION}{pooled} {made}\n")


def counts(values: Scores) -> list[str]:
    """How many images, diffusers and objects a split has, as far as is known."""
    score = values["pcc"]
    known = [(score.get(key), name) for key, name in (("n", "image"), ("diffusers", "diffuser"), ("objects", "object"))]
    return [f"{number} {name}{'' if number == 1 else 's'}" for number, name in known if number is not None]


def markdown(table: Iterable[list[str]]) -> str:
    """Write rows as a Markdown table; the first is the header."""
    header, *body = table
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *body])


def cell(score: Score) -> str:
    """Mean ± standard error as a table shows it; with more digits where a small error would read as 0."""
    mean, sem = score["mean"], score["sem"]
    if mean is None or sem is None:
        return "null"
    digits = 2 if abs(mean) >= 2 else 3
    if 0 < sem < 0.5 * 10**-digits:
        digits = min(5, math.ceil(-math.log10(sem)))
    return f"{mean:.{digits}f} ± {sem:.{digits}f}"
