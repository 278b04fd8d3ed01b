"""Runs on the same images, a row a configuration: mean and spread over seeds."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spt.errors import InvalidValue
from spt.evaluation.compare.varied import value, varied
from spt.evaluation.run_record import RunRecord
from spt.evaluation.scores import Scores
from spt.metrics import LOWER_IS_BETTER

Column = tuple[str, str]
"""Metric and split."""

OVER_SEEDS = "Mean ± standard deviation over seeds; n is the number of seeds. No ± where there is one seed."
OVER_IMAGES = "Mean over images ± standard error. There is one run of each configuration, so ± says nothing of seeds."


@dataclass(frozen=True)
class Value:
    """A score of a configuration: None where that of one of its runs is null, and without a spread for a single run."""

    mean: float | None
    spread: float | None = None


@dataclass(frozen=True)
class Row:
    """A configuration, or a simple method.

    Args:
        labels: its values of what differs; of a simple method, its name.
        scores: of every column that it has.
        runs: how many runs it stands for; 0 for a simple method.
        parameters: of the network.
        seconds: of a run, the mean.
    """

    labels: tuple[str, ...]
    scores: Mapping[Column, Value]
    runs: int = 0
    parameters: int | None = None
    seconds: float | None = None

    def mean(self, column: Column) -> float | None:
        """Mean score of a column; None where there is none."""
        return self.scores[column].mean if column in self.scores else None


@dataclass(frozen=True)
class Comparison:
    """Runs that were scored on the same images.

    Args:
        title: names the data set.
        keys: what differs between the configurations.
        columns: metrics and splits.
        rows: configurations.
        baselines: simple methods.
        over_seeds: whether ± is over seeds, else over images.
        notes: sentences on what a reader must know.
    """

    title: str
    keys: list[str]
    columns: list[Column]
    rows: list[Row]
    baselines: list[Row]
    over_seeds: bool
    notes: list[str] = field(default_factory=list)

    def is_best(self, row: Row, column: Column) -> bool:
        """Whether no other row of the table, simple methods among them, is better in this column."""
        return row is self.best([*self.rows, *self.baselines], column)

    @staticmethod
    def best(rows: Sequence[Row], column: Column) -> Row | None:
        """The row with the best mean of a column; None where fewer than two have one."""
        means = {k: mean for k, row in enumerate(rows) if (mean := row.mean(column)) is not None}
        if len(means) < 2:
            return None
        choose = min if column[0] in LOWER_IS_BETTER else max
        return rows[choose(means, key=lambda k: means[k])]

    @property
    def caption(self) -> str:
        """What ± means, and the notes."""
        return " ".join([OVER_SEEDS if self.over_seeds else OVER_IMAGES, *self.notes])


def compare(records: Sequence[RunRecord], metrics: Sequence[str]) -> list[Comparison]:
    """Compare runs with those on the same images; the largest group comes first.

    Raises:
        InvalidValue: if no run has a metric.
    """
    known = list(dict.fromkeys(metric for run in records for scores in run.scores.values() for metric in scores))
    unknown = [metric for metric in metrics if metric not in known]
    if unknown:
        raise InvalidValue(f"unknown metric {', '.join(unknown)}. These runs have {', '.join(known)}.")
    groups = sorted(_by_images(records), key=len, reverse=True)
    compared = []
    for number, group in enumerate(groups, start=1):
        title = _title(group[0], number if len(groups) > 1 else None)
        notes = [] if number == 1 else [f"Not comparable with data set 1: {_other(group[0], groups[0][0])}."]
        compared.append(_one(group, metrics, title, notes))
    return compared


def without_hash(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs that did not write down which images they were scored on."""
    return [record for record in records if record.hashes is None]


def _by_images(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    groups: dict[tuple[tuple[str, str], ...], list[RunRecord]] = {}
    for record in records:
        if record.hashes is not None:
            groups.setdefault(tuple(sorted(record.hashes.items())), []).append(record)
    return list(groups.values())


def _title(record: RunRecord, number: int | None) -> str:
    name = record.choices.get("data") or record.data.get("source") or "unknown"
    return f"Data: {name}" if number is None else f"Data set {number}: {name}"


def _other(record: RunRecord, main: RunRecord) -> str:
    """Say in which splits the images differ, and which settings of the data."""
    ours, theirs = record.hashes or {}, main.hashes or {}
    splits = [split for split in dict.fromkeys([*ours, *theirs]) if ours.get(split) != theirs.get(split)]
    keys = [key for key in varied([record, main]) if key.partition("@")[2].startswith("data") or key.startswith("data")]
    settings = [f"{key} is {value(record, key)} instead of {value(main, key)}" for key in keys[:3]]
    reason = "; ".join(settings) if settings else "their files differ, not their settings"
    return f"other images in {', '.join(splits)} ({reason})"


def _one(records: Sequence[RunRecord], metrics: Sequence[str], title: str, notes: list[str]) -> Comparison:
    keys = varied(records)
    configurations: dict[tuple[str, ...], dict[str, RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.finished):
        labels = tuple(value(record, key) for key in keys)
        same = configurations.setdefault(labels, {})
        seed = value(record, "seed")
        if seed in same:
            notes.append(f"{same[seed].path} is left out: {record.path} repeats it with seed {seed}.")
        same[seed] = record
    order = dict.fromkeys(tuple(value(record, key) for key in keys) for record in records)
    kept = {labels: list(configurations[labels].values()) for labels in order}
    over_seeds = any(len(runs) > 1 for runs in kept.values())
    columns = [(metric, split) for metric in metrics for split in records[0].scores]
    rows = [_row(labels or (runs[0].name,), runs, columns, over_seeds) for labels, runs in kept.items()]
    baselines = list(_baselines([run for runs in kept.values() for run in runs], columns, over_seeds, notes))
    wide = [Row((*row.labels, *[""] * (len(keys) - 1)), row.scores) for row in baselines]
    return Comparison(title, keys or ["configuration"], columns, rows, wide, over_seeds, notes)


def _row(labels: tuple[str, ...], runs: Sequence[RunRecord], columns: Sequence[Column], over_seeds: bool) -> Row:
    scores = {
        (metric, split): _value([run.scores[split][metric] for run in runs], over_seeds)
        for metric, split in columns
        if all(metric in run.scores[split] for run in runs)
    }
    seconds = [run.facts["seconds"] for run in runs if "seconds" in run.facts]
    mean = statistics.fmean(seconds) if seconds else None
    return Row(labels, scores, len(runs), runs[0].facts.get("parameters"), mean)


def _value(scores: Sequence[Mapping[str, Any]], over_seeds: bool) -> Value:
    means = [score["mean"] for score in scores]
    if any(mean is None for mean in means):
        return Value(None)
    if not over_seeds:
        return Value(means[0], scores[0]["sem"])
    return Value(statistics.fmean(means), statistics.stdev(means) if len(means) > 1 else None)


def _baselines(
    records: Sequence[RunRecord], columns: Sequence[Column], over_seeds: bool, notes: list[str]
) -> Iterator[Row]:
    """Simple methods on these images; one that learned from other training pairs in some runs has no row."""
    names = dict.fromkeys(name for run in records for methods in run.baselines.values() for name in methods)
    for name in names:
        first, *others = filter(None, (_of_method(run, name) for run in records))
        if not all(_agree(first, other) for other in others):
            notes.append(f"{name} is left out: it differs between the runs, which train on different pairs.")
            continue
        scores = {
            (metric, split): Value(score["mean"], None if over_seeds else score["sem"])
            for metric, split in columns
            if (score := first.get(split, {}).get(metric))
        }
        if scores:
            yield Row((name,), scores)


def _of_method(run: RunRecord, name: str) -> dict[str, Scores]:
    """Split to scores of a simple method."""
    return {split: methods[name] for split, methods in run.baselines.items() if name in methods}


def _agree(ours: Mapping[str, Scores], theirs: Mapping[str, Scores]) -> bool:
    """Whether the means of two runs agree to rounding, in every metric that both have."""
    for split in ours.keys() & theirs.keys():
        for metric in ours[split].keys() & theirs[split].keys():
            a, b = ours[split][metric]["mean"], theirs[split][metric]["mean"]
            if (a is None) != (b is None):
                return False
            if a is not None and b is not None and not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5):
                return False
    return True
