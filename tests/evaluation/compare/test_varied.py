from pathlib import Path
from typing import Any

import pytest
from finished_runs import written_run

from spt.evaluation.compare.varied import value, varied
from spt.evaluation.run_record import RunRecord
from spt.run.folder import RunFolder
from spt.run.records import read_record


@pytest.fixture
def record(tmp_path: Path):
    def make(**settings: Any) -> RunRecord:
        made.append(read_record(RunFolder(written_run(tmp_path / str(len(made)), **settings))))
        return made[-1]

    made: list[RunRecord] = []
    return make


def test_the_seed_and_where_a_run_worked_are_no_columns(record):
    runs = [record(), record(seed=1, trainer__accelerator="gpu", data__source__cache="/elsewhere", data__workers=4)]
    assert varied(runs) == []


def test_a_setting_that_differs_is_a_column(record):
    runs = [record(), record(optimizer__lr=1e-3), record(optimizer__lr=2e-3, data__batch_size=16)]
    assert varied(runs) == ["data.batch_size", "optimizer.lr"]
    assert [value(run, "optimizer.lr") for run in runs] == ["–", "0.001", "0.002"]


def test_what_two_networks_do_not_share_is_no_column(record):
    """Their names say it; a setting that differs between runs of one network is one."""
    runs = [record(), record(model="sa_cnn", model__width=24, model__levels=[2, 3])]
    assert varied(runs) == ["model"]
    assert varied([*runs, record(model__width=32)]) == ["model", "model.width"]


def test_folders_stand_first_and_in_the_order_of_people(record):
    runs = [record(), record(data="grit", data__batch_size=2), record(loss="bce"), record(model="sa_cnn", weights="a")]
    assert varied(runs) == ["model", "loss", "data", "weights"]


def test_a_head_that_follows_from_the_loss_is_no_column(record):
    one, other = record(), record(loss="ce")
    other.choices["head"] = "two_class"
    assert varied([one, other]) == ["loss"]
    same_loss = record()
    same_loss.choices["head"] = "two_class"
    assert varied([one, same_loss]) == ["head"]


def test_without_hydras_record_the_classes_name_network_and_loss(record):
    one, other = record(), record(model="sa_cnn")
    one.choices.clear()
    other.choices.clear()
    assert varied([one, other]) == ["model"]
    assert [value(run, "model") for run in (one, other)] == ["spt_unet", "sa_cnn"]


def test_two_roots_and_two_checkpoints_with_equal_ends_stay_apart(tmp_path: Path):
    """Of other training frames, tested on the same images: one is no repetition of the other."""
    for setting, folder in (("data__source__root", "a"), ("weights", "b")):
        runs = [
            read_record(RunFolder(written_run(tmp_path / folder / lab, **{setting: f"/{lab}/x/checkpoints/best.ckpt"})))
            for lab in ("lab1", "lab2")
        ]
        (name,) = varied(runs)
        assert len({value(run, name) for run in runs}) == 2
