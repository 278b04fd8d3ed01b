"""Runs that are found below folders, and what stands in their way."""

import json
from pathlib import Path
from typing import Any

import pytest
from finished_runs import metrics, written_run

from spt.errors import InvalidValue, MissingFile
from spt.run.folder import RunFolder
from spt.run.records import find_records, read_record


def test_what_a_run_wrote_down(tmp_path: Path):
    record = read_record(RunFolder(written_run(tmp_path / "run", data__source__seed=4)))
    assert record.name == "spt_unet, dice"
    assert record.choices == {"model": "spt_unet", "loss": "dice", "data": "simulated", "head": "binary"}
    assert record.settings["data.source.seed"] == 4
    assert record.settings["data.seed"] == "${seed}"  # as it was written: nothing of a run folder is resolved
    assert record.scores["val_seen"]["pcc"]["mean"] == 0.5
    assert list(record.scores) == ["val_seen", "val_unseen"]
    assert record.hashes == {"val_seen": "5ee4", "val_unseen": "04ee"}


def test_protocols_are_no_split(tmp_path: Path):
    content = metrics() | {"protocols": {"noise": {"val_seen": {}}}}
    assert list(read_record(RunFolder(written_run(tmp_path / "run", content))).scores) == ["val_seen", "val_unseen"]


def test_a_run_of_an_earlier_version_has_no_hashes(tmp_path: Path):
    content = metrics()
    del content["run"]["data"]
    assert read_record(RunFolder(written_run(tmp_path / "run", content))).hashes is None


def test_without_hydras_files_the_folder_is_the_name(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metrics.json").write_text(json.dumps(metrics()))
    record = read_record(RunFolder(tmp_path / "mine"))
    assert (record.name, dict(record.choices), dict(record.settings)) == ("mine", {}, {})


def test_jobs_of_a_sweep_stand_in_their_order_and_only_once(tmp_path: Path):
    for k in (10, 9, 0):
        written_run(tmp_path / f"{k}_{'long ' * (10 - k)}", seed=k)
    found = find_records([tmp_path, tmp_path / "10_"])
    assert [record.settings["seed"] for record in found.records] == [0, 9, 10]
    assert found.problems == []


def test_a_file_inside_a_run_is_no_run_of_its_own(tmp_path: Path):
    run = written_run(tmp_path / "run")
    written_run(run / "evaluation" / "grit")
    assert [record.path for record in find_records([tmp_path]).records] == [run]


def test_runs_that_are_not_finished_are_listed(tmp_path: Path):
    written_run(tmp_path / "good")
    (written_run(tmp_path / "stopped") / "metrics.json").unlink()
    (tmp_path / "killed" / "checkpoints").mkdir(parents=True)
    (tmp_path / "killed" / "checkpoints" / "last.ckpt").touch()
    found = find_records([tmp_path])
    assert len(found.records) == 1
    assert found.problems == [
        f"{tmp_path / name} is not finished: it has no metrics.json. Continue it with "
        f"python train.py run={tmp_path / name}."
        for name in ("killed", "stopped")
    ]


def test_a_folder_without_runs(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        MissingFile, match=rf"no finished run was found. {tmp_path}/empty: holds no run. .*: no such folder"
    ):
        find_records([tmp_path / "empty", tmp_path / "nothing"])
    with pytest.raises(MissingFile, match="is no run: it has no metrics"):
        read_record(RunFolder(tmp_path / "empty"))
    with pytest.raises(MissingFile, match="no such folder"):
        read_record(RunFolder(tmp_path / "nothing"))


def broken(place: str, value: Any) -> dict[str, Any]:
    content = metrics()
    *parents, leaf = place.split(".")
    node: Any = content
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    return content


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("val_seen", 0.5),
        ("val_seen.pcc", 0.5),
        ("val_seen.pcc.mean", "0.5"),
        ("run", []),
        ("baselines", []),
        ("baselines", {"test": {}}),
        ("baselines.val_seen", []),
        ("baselines.val_seen.linear ridge", {"pcc": {"mean": 1}}),
    ],
)
def test_a_file_of_another_version_is_named(tmp_path: Path, place: str, value: Any):
    run = written_run(tmp_path / "run")
    (run / "metrics.json").write_text(json.dumps(broken(place, value)))
    with pytest.raises(
        InvalidValue, match=rf"{run}/metrics.json is not of this version of spt: .* is no table of scores"
    ):
        read_record(RunFolder(run))


def test_a_file_that_is_cut_is_named(tmp_path: Path):
    run = written_run(tmp_path / "run")
    (run / "metrics.json").write_text('{"val_seen": {')
    with pytest.raises(InvalidValue, match="not valid JSON"):
        read_record(RunFolder(run))


@pytest.mark.parametrize("name", ["config", "hydra"])
def test_a_damaged_configuration_is_named(tmp_path: Path, name: str):
    run = written_run(tmp_path / "run")
    (run / ".hydra" / f"{name}.yaml").write_text("a: [1\nb: {")
    with pytest.raises(InvalidValue, match=rf"\.hydra/{name}.yaml (cannot be read|is damaged)"):
        read_record(RunFolder(run))
