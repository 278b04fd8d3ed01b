"""A table of finished runs and of the baselines, one row a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spt.errors import InvalidValue, MissingFile
from spt.evaluation.metrics_file import read_metrics
from spt.evaluation.score_table import cell
from spt.evaluation.scores import Scores

COMPARED = ("pcc", "ssim", "ji")


def find_runs(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read ``metrics.json`` of every run in or below the folders; the name is the model and the loss that were chosen.

    Raises:
        MissingFile: if a folder holds no finished run.
        InvalidValue: if a ``metrics.json`` cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        folders = sorted({file.parent for file in path.rglob("metrics.json")}, key=lambda p: (len(p.name), p.name))
        if not folders:
            raise MissingFile(f"{path} holds no finished run: there is no metrics.json in or below it.")
        for folder in folders:
            metrics = read_metrics(folder / "metrics.json")
            name = metrics["run"].get("chosen", folder.name)
            found[f"{name} ({folder})" if name in found else name] = metrics
    return found


def comparison(runs: Mapping[str, Mapping[str, Any]], metrics: Sequence[str] = COMPARED) -> Iterator[list[str]]:
    """Header and rows: one a run, then one a baseline; a column a metric and split.

    Raises:
        InvalidValue: if the runs were not scored on the same images, or a metric is unknown.
    """
    first_name, first = next(iter(runs.items()))
    for name, run in list(runs.items())[1:]:
        _check_same_images(name, run["baselines"], first_name, first["baselines"])
    splits = list(first["baselines"])
    known = list(dict.fromkeys(metric for run in runs.values() for metric in run[splits[0]]))
    unknown = [metric for metric in metrics if metric not in known]
    if unknown:
        raise InvalidValue(f"unknown metric {', '.join(unknown)}. These runs have {', '.join(known)}.")
    columns = [(metric, split) for metric in metrics for split in splits]
    yield ["method", "parameters", "s", *(f"{metric.upper()} {split}" for metric, split in columns)]
    for name, run in runs.items():
        cost = [f"{run['run']['parameters']:,}", f"{run['run']['seconds']:.0f}"]
        yield [name, *cost, *(_cell(run[split], metric) for metric, split in columns)]
    baselines = {name: run["baselines"] for run in runs.values() for name in run["baselines"][splits[0]]}
    for name, scores in baselines.items():
        yield [name, "", "", *(_cell(scores[split][name], metric) for metric, split in columns)]


def _cell(values: Mapping[str, Any], metric: str) -> str:
    return cell(values[metric]) if metric in values else ""


def _check_same_images(
    name: str, ours: Mapping[str, Mapping[str, Scores]], other: str, theirs: Mapping[str, Mapping[str, Scores]]
) -> None:
    """Baselines depend on the data alone: those that both runs have must agree, on the same splits.

    Raises:
        InvalidValue: if they do not, or there are none in common.
    """
    if ours.keys() != theirs.keys():
        raise InvalidValue(
            f"{name} has the splits {', '.join(ours)}, but {other} has {', '.join(theirs)}. Compare runs of one data "
            "configuration."
        )
    for split, methods in ours.items():
        common = methods.keys() & theirs[split].keys()
        if not common:
            raise InvalidValue(
                f"{name} and {other} have no baseline in common on {split}, which would show that they were scored on "
                "the same images. Score them with baselines: continue each with run=<folder> baseline_pairs=6000."
            )
        if not all(_agree(methods[baseline], theirs[split][baseline]) for baseline in common):
            raise InvalidValue(
                f"{name} and {other} were not scored on the same images: their baselines differ on {split}. Compare "
                "runs of one data configuration."
            )


def _agree(ours: Scores, theirs: Scores) -> bool:
    """Whether the means agree in every metric that both hold: earlier versions wrote fewer, and other errors."""
    common = ours.keys() & theirs.keys()
    return all(_equal(ours[metric][key], theirs[metric][key]) for metric in common for key in ("mean", "n"))


def _equal(a: float | int | None, b: float | int | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
