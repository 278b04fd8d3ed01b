"""The final table: the network beside the baselines, seen and unseen diffusers in separate columns."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from spt.data.pairs import Pairs
from spt.evaluation.baselines import Baseline
from spt.files import atomic
from spt.metrics import METRICS, per_image, summary

Scores = dict[str, dict[str, float]]
"""Metric to {mean, sem, n}."""


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


def print_table(network: str, scores: Mapping[str, Scores], baselines: Mapping[str, Mapping[str, Scores]]) -> None:
    """Print one table: a block a metric, a row a method, a column a split; mean and standard error over images."""
    splits = list(scores)
    table = Table(title="Mean over images ± standard error; every method on the same images")
    table.add_column("metric")
    table.add_column("method")
    for split in splits:
        table.add_column(f"{split}\n(n = {scores[split]['pcc']['n']})", justify="right")
    for metric in METRICS:
        rows = {network: {split: scores[split] for split in splits}}
        rows |= {name: {split: baselines[split][name] for split in splits} for name in baselines[splits[0]]}
        for k, (method, values) in enumerate(rows.items()):
            style = "bold" if method == network else None
            cells = [_cell(values[split][metric]) for split in splits]
            table.add_row(metric.upper() if k == 0 else "", method, *cells, style=style, end_section=k == len(rows) - 1)
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    console.print(table)


def _cell(value: Mapping[str, float]) -> str:
    digits = 2 if abs(value["mean"]) >= 2 else 3
    return f"{value['mean']:.{digits}f} ± {value['sem']:.{digits}f}"
