import statistics
from pathlib import Path
from typing import Any

import pytest
from finished_runs import metrics, written_run

from spt.errors import InvalidValue
from spt.evaluation.compare.comparison import Comparison, Value, compare
from spt.run.folder import RunFolder
from spt.run.records import read_record

SEEN, UNSEEN = ("pcc", "val_seen"), ("pcc", "val_unseen")


@pytest.fixture
def compared(tmp_path: Path):
    def make(*runs: tuple[dict[str, Any], dict[str, Any]], names: tuple[str, ...] = ("pcc",)) -> list[Comparison]:
        folders = [written_run(tmp_path / str(k), content, **settings) for k, (content, settings) in enumerate(runs)]
        return compare([read_record(RunFolder(folder)) for folder in folders], names)

    return make


def other_images(content: dict[str, Any], split: str = "val_unseen") -> dict[str, Any]:
    content["run"]["data"]["splits"][split]["hash"] = "0the"
    return content


def test_mean_and_spread_over_seeds(compared):
    (table,) = compared(
        (metrics(0.5, 0.1), {}), (metrics(0.6, 0.2), {"seed": 1}), (metrics(0.9, 0.3), {"seed": 2}),
        (metrics(0.7, 0.1), {"loss": "bce"}),
    )  # fmt: skip
    assert table.keys == ["loss"]
    dice, bce = table.rows
    assert (dice.labels, dice.runs, bce.labels, bce.runs) == (("dice",), 3, ("bce",), 1)
    assert dice.scores[SEEN].mean == pytest.approx(2 / 3)
    assert dice.scores[SEEN].spread == pytest.approx(statistics.stdev([0.5, 0.6, 0.9]))
    assert bce.scores[SEEN] == Value(0.7)
    assert table.over_seeds
    assert "standard deviation over seeds" in table.caption


def test_without_repeated_seeds_the_error_over_images_stands_there(compared):
    (table,) = compared((metrics(0.5), {}), (metrics(0.6), {"loss": "bce"}))
    assert [row.scores[SEEN] for row in table.rows] == [Value(0.5, 0.01), Value(0.6, 0.01)]
    assert "says nothing of seeds" in table.caption


def test_seen_and_unseen_are_columns_of_their_own(compared):
    (table,) = compared((metrics(0.5, 0.1), {}), names=("pcc", "mse"))
    assert table.columns == [SEEN, UNSEEN, ("mse", "val_seen"), ("mse", "val_unseen")]
    assert [table.rows[0].scores[column].mean for column in table.columns] == [0.5, 0.1, 0.5, 0.9]


def test_the_best_may_be_a_simple_method_and_less_is_better_for_an_error(compared):
    (table,) = compared((metrics(0.5, 0.1), {}), (metrics(0.6, 0.2), {"loss": "bce"}), names=("pcc", "mse"))
    rows = [*table.rows, *table.baselines]
    best = {column: [row.labels[0] for row in rows if table.is_best(row, column)] for column in table.columns}
    assert best == {
        SEEN: ["bce"],
        UNSEEN: ["linear ridge"],
        ("mse", "val_seen"): ["bce"],
        ("mse", "val_unseen"): ["linear ridge"],
    }


def test_runs_on_other_images_have_a_table_of_their_own_with_the_reason(compared):
    one, other = compared(
        (other_images(metrics()), {"data__source__seed": 3}), (metrics(), {}), (metrics(), {"loss": "bce"})
    )
    assert [len(table.rows) for table in (one, other)] == [2, 1]
    assert one.notes == []
    assert other.notes == [
        "Not comparable with data set 1: other images in val_unseen (data.source.seed is 3 instead of –)."
    ]


def test_equal_numbers_do_not_make_runs_comparable(compared):
    """The hash decides: these runs agree in every score."""
    tables = compared((metrics(), {}), (other_images(metrics()), {"loss": "bce"}))
    assert [len(table.rows) for table in tables] == [1, 1]
    assert "their files differ, not their settings" in tables[1].notes[0]


def test_runs_on_the_same_images_are_compared_whatever_their_baselines(compared):
    """A baseline learns from the training pairs: other pairs give other numbers on the same images."""
    (table,) = compared((metrics(ridge=0.3), {}), (metrics(ridge=0.4), {"data__source__train": 48}))
    assert table.keys == ["data.source.train"]
    assert [row.labels[0] for row in table.baselines] == ["raw speckle"]
    assert table.notes == ["linear ridge is left out: it differs between the runs, which train on different pairs."]


def test_a_repeated_run_does_not_count_twice(compared, tmp_path: Path):
    (table,) = compared((metrics(0.5), {}), (metrics(0.6), {"seed": 1}), (metrics(0.5), {"seed": 1}))
    assert table.rows[0].runs == 2
    assert table.rows[0].scores[SEEN] == Value(0.5, 0.0)
    assert "repeats it with seed 1" in table.notes[0]


def test_null_stays_null(compared):
    (table,) = compared((metrics(None), {}), (metrics(0.6), {"seed": 1}))
    assert table.rows[0].scores[SEEN] == Value(None)


def test_a_run_without_baselines_is_compared(compared):
    without = metrics() | {"baselines": {"val_seen": {}, "val_unseen": {}}}
    (table,) = compared((without, {}), (metrics(), {"loss": "bce"}))
    assert [row.labels[0] for row in table.baselines] == ["raw speckle", "linear ridge"]


def test_a_metric_that_only_some_have_leaves_cells_empty(compared):
    new = metrics()
    for split in ("val_seen", "val_unseen"):
        new[split]["ece"] = {"mean": 0.03, "sem": 0.001, "n": 4}
    (table,) = compared((new, {}), (metrics(), {"loss": "bce"}), names=("ece",))
    assert [list(row.scores) for row in table.rows] == [table.columns, []]


def test_an_unknown_metric_is_named(compared):
    with pytest.raises(InvalidValue, match=r"unknown metric mape. These runs have pcc, mse"):
        compared((metrics(), {}), names=("pcc", "mape"))
