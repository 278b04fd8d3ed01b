"""``metrics.json``: scores of the network and the baselines, and the facts of the run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spt.errors import InvalidValue
from spt.evaluation.scores import Scores
from spt.files import atomic


def write_metrics(
    path: Path,
    scores: Mapping[str, Scores],
    baselines: Mapping[str, Mapping[str, Scores]],
    run: Mapping[str, Any],
) -> None:
    """Write the file, whole or not at all: split -> metric -> score; ``baselines``: split -> name -> metric -> score.

    Raises:
        ValueError: if a number is NaN or infinite, which JSON does not have.
    """
    write_json(path, {**scores, "baselines": baselines, "run": run})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        ValueError: if a number is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic(path) as part:
        part.write_text(text + "\n")


def add_protocol(path: Path, name: str, content: Mapping[str, Any]) -> None:
    """Add the scores of a protocol under ``protocols``, in place of earlier ones of this name; all else stays.

    Raises:
        InvalidValue: if the file is damaged.
    """
    metrics = read_metrics(path)
    metrics["protocols"] = {**metrics.get("protocols", {}), name: content}
    write_json(path, metrics)


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a ``metrics.json`` of this or an earlier version.

    Raises:
        InvalidValue: if the file is damaged, or holds something else.
    """
    try:
        metrics = json.loads(path.read_text())
    except ValueError as error:
        raise InvalidValue(f"{path} is not valid JSON ({error}). Write it again with run={path.parent}.") from None
    if not isinstance(metrics, dict) or not {"baselines", "run"} <= metrics.keys():
        raise InvalidValue(f"{path} is not the metrics.json of a run: it has no `baselines` and `run`. Leave it out.")
    return metrics
