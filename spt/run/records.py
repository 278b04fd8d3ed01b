"""Finished runs found below folders, and why the others are left out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spt.data.settings import flatten
from spt.errors import InvalidValue, MissingFile, UserError
from spt.evaluation.metrics_file import read_metrics
from spt.evaluation.run_record import NO_SPLITS, RunRecord
from spt.run.folder import RunFolder
from spt.run.saved_config import read_saved


@dataclass
class Found:
    """Runs, and one line for each folder that holds none that is finished and readable."""

    records: list[RunRecord] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_records(paths: Sequence[Path]) -> Found:
    """Read every finished run in or below the folders, in the order of a sweep.

    Raises:
        MissingFile: if there is no finished run at all; the message says what stood in the way.
    """
    found, seen = Found(), set[Path]()
    for path in paths:
        folders = run_folders(path.expanduser())
        if not folders:
            found.problems.append(f"{path}: {'holds no run' if path.expanduser().is_dir() else 'no such folder'}.")
        for folder in folders:
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            try:
                found.records.append(read_record(RunFolder(folder)))
            except UserError as error:
                found.problems.append(str(error))
    if not found.records:
        raise MissingFile("no finished run was found. " + " ".join(found.problems))
    return found


def run_folders(path: Path) -> list[Path]:
    """Folders of runs in or below a folder, finished or not; what lies inside a run belongs to it."""
    marks = [file.parent for file in path.rglob("metrics.json")]
    marks += [
        file.parent.parent for name in (".hydra/config.yaml", "checkpoints/last.ckpt") for file in path.rglob(name)
    ]
    folders = set(marks)
    outer = [folder for folder in folders if not any(parent in folders for parent in folder.parents)]
    return sorted(outer, key=_in_order)


def _in_order(folder: Path) -> tuple[str, float, str]:
    """Jobs of a sweep by their number, other runs by their name."""
    number = re.match(r"\d+(?=_|$)", folder.name)
    return str(folder.parent), float(number[0]) if number else math.inf, folder.name


def read_record(folder: RunFolder) -> RunRecord:
    """Read one run.

    Raises:
        MissingFile: if the folder is no run, or the run is not finished.
        InvalidValue: if one of its files is damaged or of another version.
    """
    if not folder.path.is_dir():
        raise MissingFile(f"{folder.path}: no such folder.")
    if not folder.metrics.is_file():
        if folder.config.is_file() or folder.last.is_file():
            raise MissingFile(
                f"{folder.path} is not finished: it has no metrics.json. Continue it with "
                f"python train.py run={folder.path}."
            )
        raise MissingFile(f"{folder.path} is no run: it has no metrics.json. Give the folder that training wrote.")
    metrics = read_metrics(folder.metrics)
    _check(metrics, folder.metrics)
    choices = read_choices(folder.choices)
    name = metrics["run"].get("chosen") or folder.path.resolve().name
    return RunRecord(folder.path, str(name), choices, read_settings(folder), metrics, folder.metrics.stat().st_mtime)


def read_settings(folder: RunFolder) -> dict[str, Any]:
    """The run's configuration, dotted name to value, with interpolations as they were written; empty without a file."""
    if not folder.config.is_file():
        return {}
    config = read_saved(folder.config, ("model", "loss", "trainer"))
    return dict(flatten(OmegaConf.to_container(config, resolve=False)))


def read_choices(path: Path) -> dict[str, str]:
    """Which file of each folder of `configs/` was chosen, as Hydra recorded it; empty without the record."""
    if not path.is_file():
        return {}
    node: Any = plain(path)
    for key in ("hydra", "runtime", "choices"):
        node = node.get(key) if isinstance(node, Mapping) else None
    found = node if isinstance(node, Mapping) else {}
    return {
        str(key): str(value) for key, value in found.items() if value is not None and not str(key).startswith("hydra")
    }


def plain(path: Path) -> Any:
    """A file of Hydra as plain values; nothing in it is resolved.

    Raises:
        InvalidValue: if it is damaged.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidValue(f"{path} cannot be read ({reason}). Leave this run out, or restore the file.") from error


def _check(metrics: Mapping[str, Any], path: Path) -> None:
    """Refuse what is no table of scores.

    Raises:
        InvalidValue: naming the place that differs.
    """
    run, baselines = metrics["run"], metrics["baselines"]
    splits = {name: scores for name, scores in metrics.items() if name not in NO_SPLITS}
    wrong = [name for name, scores in splits.items() if not _are_scores(scores)]
    if not isinstance(run, Mapping):
        wrong.append("run")
    if not isinstance(baselines, Mapping) or not baselines.keys() <= splits.keys():
        wrong.append("baselines")
    else:
        wrong += [
            f"baselines.{split}.{name}"
            for split, methods in baselines.items()
            for name, scores in (methods.items() if isinstance(methods, Mapping) else [("", None)])
            if not _are_scores(scores)
        ]
    if wrong or not splits:
        raise InvalidValue(
            f"{path} is not of this version of spt: {wrong[0] if wrong else 'it has no splits, which'} "
            "is no table of scores. Leave this run out, or train it again."
        )


def _are_scores(scores: Any) -> bool:
    """Whether this maps names of metrics to scores."""
    return isinstance(scores, Mapping) and all(
        isinstance(score, Mapping)
        and all(key in score and (score[key] is None or _is_number(score[key])) for key in ("mean", "sem"))
        for score in scores.values()
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
