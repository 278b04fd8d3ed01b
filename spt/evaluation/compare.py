"""Runs beside each other and beside the baselines, one row a run."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from spt.evaluation.report import cell
from spt.run.folder import RunFolder

COMPARED = ("pcc", "ssim", "ji")


def find_runs(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read ``metrics.json`` of every run in or below the folders; the name is what the command line chose.

    Raises:
        FileNotFoundError: if a folder holds no finished run.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        folders = sorted({file.parent for file in path.rglob("metrics.json")}, key=lambda p: (len(p.name), p.name))
        if not folders:
            raise FileNotFoundError(f"{path} holds no finished run: there is no metrics.json in or below it.")
        for folder in folders:
            name = _name(RunFolder(folder))
            found[f"{name} ({folder})" if name in found else name] = json.loads((folder / "metrics.json").read_text())
    return found


def _name(folder: RunFolder) -> str:
    if not folder.choices.is_file():
        return folder.path.name
    choices = OmegaConf.select(OmegaConf.load(folder.choices), "hydra.runtime.choices")
    return f"{choices['model']}, {choices['loss']}"


def comparison(runs: Mapping[str, Mapping[str, Any]], metrics: Sequence[str] = COMPARED) -> Iterator[list[str]]:
    """Header and rows: one a run, then one a baseline; a column a metric and split.

    Raises:
        ValueError: if the runs were not judged on the same images, or a metric is unknown.
    """
    first_name, first = next(iter(runs.items()))
    baselines = first["baselines"]
    for name, run in runs.items():
        if not _agree(run["baselines"], baselines):
            raise ValueError(
                f"{name} and {first_name} were not judged on the same images: their baselines differ. Compare runs of "
                "one data configuration."
            )
    splits = list(baselines)
    known = list(dict.fromkeys(metric for run in runs.values() for metric in run[splits[0]]))
    unknown = [metric for metric in metrics if metric not in known]
    if unknown:
        raise ValueError(f"unknown metric {', '.join(unknown)}; these runs have {', '.join(known)}.")
    columns = [(metric, split) for metric in metrics for split in splits]
    yield ["method", "parameters", "s", *(f"{metric.upper()} {split}" for metric, split in columns)]
    for name, run in runs.items():
        cost = [f"{run['run']['parameters']:,}", f"{run['run']['seconds']:.0f}"]
        yield [name, *cost, *(_cell(run[split], metric) for metric, split in columns)]
    for name in baselines[splits[0]]:
        yield [name, "", "", *(_cell(baselines[split][name], metric) for metric, split in columns)]


def _cell(values: Mapping[str, Any], metric: str) -> str:
    return cell(values[metric]) if metric in values else ""


def _agree(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether the baselines of two runs agree in every metric that both hold: earlier versions wrote fewer."""
    if {split: set(methods) for split, methods in ours.items()} != {s: set(methods) for s, methods in theirs.items()}:
        return False
    return all(
        math.isclose(value, theirs[split][name][metric][key], rel_tol=1e-6, abs_tol=1e-9)
        for split, methods in ours.items()
        for name, metrics in methods.items()
        for metric in metrics.keys() & theirs[split][name].keys()
        for key, value in metrics[metric].items()
    )
