"""Loggers beside TensorBoard, and several at once."""

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, command, composed

from spt.errors import InvalidValue
from spt.run.building import build
from spt.run.folder import RunFolder
from spt.run.train import prepare, resume, train
from spt.training.loggers import CSVLog, WandbLog, close, show_picture

SHORT = [*TINY, "baseline_pairs=0", "trainer.log_every_n_steps=1"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# CSV ------------------------------------------------------------------------------------------------------------------


def test_csv_has_a_row_for_everything_that_is_logged(tmp_path: Path):
    log = CSVLog(str(tmp_path))
    log.log_metrics({"a": 1.5}, 0)
    log.log_metrics({"b": 2.5, "a": 0.5}, 1)
    log.log_metrics({"a": 0.25}, 2)
    log.log_hyperparams({"model": "x"})
    show_picture([log], "a", np.zeros((2, 2, 3), np.uint8), 2)
    assert rows(tmp_path) == [
        {"step": "0", "a": "1.5", "b": ""},
        {"step": "1", "a": "0.5", "b": "2.5"},
        {"step": "2", "a": "0.25", "b": ""},
    ]
    assert [path.name for path in tmp_path.rglob("*.*")] == ["metrics.csv"]


def test_csv_of_a_killed_run_goes_on_without_the_steps_that_are_repeated(tmp_path: Path):
    log = CSVLog(str(tmp_path))
    for step in range(5):
        log.log_metrics({"a": step / 2}, step)
    with log.path.open("a") as file:
        file.write("1")  # the beginning of a row of step 10
    again = CSVLog(str(tmp_path))
    again.log_metrics({"a": 9.0}, 3)
    again.log_metrics({"b": 8.0}, 3)
    assert [(row["step"], row["a"], row["b"]) for row in rows(tmp_path)] == [
        ("0", "0.0", ""), ("1", "0.5", ""), ("2", "1.0", ""), ("3", "9.0", ""), ("3", "", "8.0"),
    ]  # fmt: skip


# Several at once ------------------------------------------------------------------------------------------------------


def test_two_loggers_on_the_command_line(tmp_path: Path):
    overrides = ["trainer.max_epochs=1", "logger=[tensorboard,csv]", f"hydra.run.dir={tmp_path}"]
    done = command("train.py", *SHORT, *overrides)
    assert done.code == 0, done.err
    assert list((tmp_path / "tensorboard").glob("events*"))
    logged = rows(tmp_path)
    assert [row["step"] for row in logged if row["train/loss_step"]] == ["0", "1", "2"]
    (validated,) = (row for row in logged if row["val_seen/pcc"])
    assert validated["step"] == "2"
    final = json.loads((tmp_path / "metrics.json").read_text())["test_seen"]["pcc"]["mean"]
    assert (logged[-1]["step"], float(logged[-1]["final/test_seen/pcc"])) == ("3", final)


def test_a_continued_run_goes_on_in_the_same_file(tmp_path: Path):
    config = composed(*SHORT, "trainer.max_epochs=1", "logger=csv", "~callbacks")
    train(config, RunFolder(tmp_path))
    first = rows(tmp_path)
    config.trainer.max_epochs = 2
    resume(prepare(config, RunFolder(tmp_path)))
    logged = rows(tmp_path)
    assert [row["step"] for row in logged if row["train/loss_step"]] == [str(step) for step in range(6)]
    assert [row["step"] for row in logged if row["val_seen/pcc"]] == ["2", "5"]
    assert first[-1]["final/test_seen/pcc"]  # at step 3, which is repeated
    assert [row["train/loss_step"] for row in logged[:5]] == [row["train/loss_step"] for row in first[:-1]]


# Weights & Biases -----------------------------------------------------------------------------------------------------


def test_wandb_that_is_not_installed_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("spt.training.loggers.find_spec", lambda name: None)
    config = composed(*SHORT, "logger=wandb")
    with pytest.raises(InvalidValue, match=r"logger\.wandb: .*pip install 'spt\[wandb\]'"):
        prepare(config, RunFolder(tmp_path), new=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def wandb() -> Any:
    return pytest.importorskip("wandb", reason="wandb is an extra: pip install 'spt[wandb]'")


def offline_runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*"))


def test_wandb_offline_keeps_pictures_and_goes_on_as_the_same_run(tmp_path: Path, wandb: Any):
    """Also where the folder was moved. What the two parts hold is merged by `wandb sync`, which goes by the name."""
    node = composed("logger=wandb").logger.wandb
    for folder in (tmp_path / "a", tmp_path / "b"):
        if folder.name == "b":
            shutil.move(tmp_path / "a", folder)
        folder.mkdir(exist_ok=True)
        log = build(node, save_dir=str(folder))
        log.log_metrics({"val_seen/pcc": 0.5}, 3)
        show_picture([log], "final/val_seen", np.full((8, 8, 3), 7, np.uint8), 3)
        close([log])
    parts = offline_runs(tmp_path / "b")
    assert len({path.name.rpartition("-")[2] for path in parts}) == 1
    assert all(list(path.rglob("val_seen_*.png")) for path in parts)
    assert "WANDB_MODE" not in os.environ
    assert wandb.run is None


def test_wandb_beside_csv_holds_scores_and_pictures_of_a_run(
    tmp_path: Path, wandb: Any, monkeypatch: pytest.MonkeyPatch
):
    logged: list[dict[str, Any]] = []
    original = WandbLog.log_metrics

    def log_metrics(self: WandbLog, metrics: dict[str, Any], step: int | None = None) -> None:
        logged.append({"step": step, **metrics})
        original(self, metrics, step)

    monkeypatch.setattr(WandbLog, "log_metrics", log_metrics)
    overrides = ["trainer.max_epochs=1", "logger=[csv,wandb]", f"hydra.run.dir={tmp_path}"]
    done = command("train.py", *SHORT, *overrides)
    assert done.code == 0, done.err
    assert len(offline_runs(tmp_path)) == 1
    steps = {name: row["step"] for row in logged for name in row}
    assert steps["val_seen/pcc"] == steps["contact_sheet/val_seen"] == steps["reliability/val_seen"] == 2
    assert steps["final/test_seen"] == steps["final/test_seen/pcc"] == 3
    assert rows(tmp_path)[-1]["final/test_seen/pcc"]
    assert wandb.run is None
