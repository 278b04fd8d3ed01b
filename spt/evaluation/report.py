"""The final table: the network beside the baselines, seen and unseen diffusers in separate columns."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spt.data.pairs import Pairs
from spt.evaluation.baselines import Baseline
from spt.files import atomic
from spt.metrics import per_image, summary

Scores = dict[str, dict[str, float]]
"""Metric to {mean, sem, n}."""

MAIN = ("pcc", "ssim", "ji", "psnr")
"""The metrics of the printed table; metrics.json and report.md hold all."""


def score(pred: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]) -> Scores:
    """Summarise every metric over images."""
    return {name: summary(values) for name, values in per_image(pred, target).items()}


def score_baselines(baselines: Mapping[str, Baseline], pairs: Pairs) -> dict[str, Scores]:
    """Every baseline on the images of one split."""
    target = pairs.images()
    return {name: score(baseline(pairs), target) for name, baseline in baselines.items()}


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``metrics.json`` atomically."""
    with atomic(path) as part:
        part.write_text(json.dumps(metrics, indent=2) + "\n")


def rows(
    network: str,
    scores: Mapping[str, Scores],
    baselines: Mapping[str, Mapping[str, Scores]],
    metrics: Sequence[str] | None = None,
) -> Iterator[list[str]]:
    """Rows of the final table, metric by metric: metric, method, then mean ± standard error for every split.

    All metrics of the network unless some are named; a baseline that lacks one (it has no logits) has no row there.
    """
    methods = {network: scores}
    for name in next(iter(baselines.values())):
        methods[name] = {split: baselines[split][name] for split in scores}
    for metric in metrics or next(iter(scores.values())):
        for method, values in methods.items():
            if all(metric in values[split] for split in scores):
                yield [metric.upper(), method, *(cell(values[split][metric]) for split in scores)]


def _header(scores: Mapping[str, Scores]) -> list[str]:
    return ["metric", "method", *(f"{split} (n = {values['pcc']['n']})" for split, values in scores.items())]


def print_table(network: str, scores: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Scores]]) -> None:
    """Print the main metrics: a block a metric, a row a method, a column a split; mean ± standard error over images."""
    table = Table(title="Mean over images ± standard error; every method on the same images")
    for k, name in enumerate(_header(scores)):
        table.add_column(name.replace(" (", "\n("), justify="right" if k > 1 else "left")
    block = ""
    for metric, method, *cells in rows(network, scores, baselines, MAIN):
        if block and metric != block:
            table.add_section()
        shown = "" if metric == block else metric
        table.add_row(shown, method, *cells, style="bold" if method == network else None)
        block = metric
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    console.print(table)


def write_markdown(
    path: Path, network: str, scores: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Scores]], note: str
) -> None:
    """Write the final table of all metrics as Markdown, with a line below that says what made it."""
    table = [_header(scores), *rows(network, scores, baselines)]
    with atomic(path) as part:
        part.write_text(f"{markdown(table)}\n\n{note}\n")


def markdown(table: Iterable[list[str]]) -> str:
    """Write rows as a Markdown table; the first is the header."""
    header, *body = table
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *body])


def cell(value: Mapping[str, float]) -> str:
    """Mean ± standard error as a table shows it; with more digits where a small error would read as 0."""
    digits = 2 if abs(value["mean"]) >= 2 else 3
    if 0 < value["sem"] < 0.5 * 10**-digits:
        digits = min(5, math.ceil(-math.log10(value["sem"])))
    return f"{value['mean']:.{digits}f} ± {value['sem']:.{digits}f}"
