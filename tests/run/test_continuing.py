"""An earlier run goes on with its own configuration; what is changed is checked before it is written."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import TINY, composed
from omegaconf import OmegaConf

from spt.errors import InvalidValue, MissingFile, UserError
from spt.run import train as verb
from spt.run.continuing import anchored, continue_run, for_hydra, named_run, override, read_config
from spt.run.folder import RunFolder
from spt.run.train import train
from spt.training.module import SpeckleModule


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two epochs; its folder has the name of a sweep's of version 0.2."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "0_loss=focal,seed=1")
    config = composed(*TINY, "loss=focal", "seed=7", "deterministic=true", "~logger", "~callbacks")
    train(config, folder)
    folder.config.parent.mkdir()
    OmegaConf.save(config, folder.config)
    return folder


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """What a continued run logs to is removed after the test: other tests read what a command prints."""
    before, level = logging.root.handlers[:], logging.root.level
    yield
    for handler in logging.root.handlers:
        if handler not in before:
            handler.close()
    logging.root.handlers[:], logging.root.level = before, level


@pytest.fixture
def copy(run: RunFolder, tmp_path: Path) -> RunFolder:
    import shutil

    shutil.copytree(run.path, tmp_path / run.path.name)
    return RunFolder(tmp_path / run.path.name)


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[verb.Prepared]]:
    """Runs that would go on now, instead of going on."""
    found: list[verb.Prepared] = []
    monkeypatch.setattr(verb, "resume", lambda prepared: found.append(prepared) or 0.0)
    return found


def test_the_run_keeps_its_own_configuration(copy: RunFolder, resumed: list[verb.Prepared]):
    copy.metrics.unlink()  # the scores are left to do
    before = copy.config.read_bytes()
    continue_run([f"run={copy.path}"])
    (prepared,) = resumed
    assert prepared.config.seed == 7
    assert prepared.config.loss._target_ == "spt.losses.FocalLoss"
    assert prepared.folder.path == copy.path
    assert copy.config.read_bytes() == before


@pytest.mark.parametrize(
    "change", ["trainer.max_epochs=9", "loss.gamma=3", "data.source.cache=/tmp/a=b", "optimizer.lr=2e-5"]
)
def test_a_single_value_is_changed_and_remembered(copy: RunFolder, resumed: list[verb.Prepared], change: str):
    """Also one that only this run has: focal's gamma is in no default configuration."""
    continue_run([f"run={copy.path}", "trainer.max_epochs=3", change])
    key, _, value = change.partition("=")
    for config in (resumed[0].config, OmegaConf.load(copy.config)):
        assert str(OmegaConf.select(config, key)) == value.replace("2e-5", "2e-05")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("loss=bce", "single values"),
        ("+model.depth=3", "single values"),
        ("trainer.epochs=3", "single values"),
        ("~loss", "single values"),
        ("seed=1,2", "single values"),
        ("seed=abc", "could not be converted to Integer"),
        ("seed", "cannot be read"),
        ("-m", "overrides of its values alone"),
        ("loss._target_=spt.losses.DiceLoss", "Start a new run"),
        ("monitor.name=val_seen/ssim", "Start a new run"),
        ("data.batch_size=0", "batch_size must be at least 1"),
        ("model.width=8", "does not hold the weights of this SpTUNet"),
        ("data.source.setup.window=36", "multiples of 8"),
        ("trainer.precision=half", "precision must be"),
        ("trainer.accelerator=tpus", "trainer"),
        ("trainer.max_epochs=1", r"has trained 2 epochs; trainer\.max_epochs=1 is less"),
        ("optimizer.lr=-1", "Invalid learning rate"),
    ],
)
def test_what_does_not_work_is_refused_and_leaves_the_configuration(copy: RunFolder, change: str, message: str):
    before = {path: path.read_bytes() for path in copy.path.rglob("*") if path.is_file() and path.name != "train.log"}
    with pytest.raises(UserError, match=message):
        continue_run([f"run={copy.path}", change])
    assert {path: path.read_bytes() for path in before} == before


# A run that is finished -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [[], ["loss.gamma=3"], ["baseline_pairs=0"], ["trainer.max_epochs=2"]])
def test_a_finished_run_says_what_it_came_to_and_is_left_alone(
    copy: RunFolder, resumed: list[verb.Prepared], caplog: pytest.LogCaptureFixture, changes: list[str]
):
    before = {path: path.read_bytes() for path in copy.path.rglob("*") if path.is_file() and path.name != "train.log"}
    with caplog.at_level(logging.INFO):
        continue_run([f"run={copy.path}", *changes])
    pcc = json.loads(copy.metrics.read_text())["test_seen"]["pcc"]["mean"]
    (said,) = caplog.messages
    assert said.startswith("This run is finished: 2 of 2 epochs are trained. Through ")
    assert f"PCC {pcc:.3f}" in said
    assert f"Scores: {copy.metrics}." in said
    assert said.endswith("A larger number trains on, for example trainer.max_epochs=4.")
    assert said.count("\n") == 1
    assert not resumed
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_that_stopped_at_its_steps_is_finished(copy: RunFolder, resumed: list[verb.Prepared], caplog):
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(copy.config), {"trainer": {"max_steps": 6}}), copy.config)
    with caplog.at_level(logging.INFO):
        continue_run([f"run={copy.path}", "trainer.max_epochs=9"])
    assert "6 of 6 steps are trained" in caplog.text
    assert "trainer.max_steps=12" in caplog.text
    assert not resumed


def drop_baselines(metrics: dict) -> None:
    del metrics["run"]["baseline_seconds"]


def older(metrics: dict) -> None:
    metrics["run"]["epochs"] = 1


@pytest.mark.parametrize("lose", [drop_baselines, older, dict.clear])
def test_scores_that_are_missing_are_computed(copy: RunFolder, resumed: list[verb.Prepared], lose):
    """The process ended while the network or the baselines were scored."""
    metrics = json.loads(copy.metrics.read_text())
    lose(metrics)
    copy.metrics.write_text(json.dumps(metrics))
    continue_run([f"run={copy.path}"])
    assert len(resumed) == 1


@pytest.mark.parametrize("change", ["trainer.max_epochs=3", "baseline_pairs=12"])
def test_a_finished_run_goes_on_where_there_is_something_to_do(
    copy: RunFolder, resumed: list[verb.Prepared], change: str
):
    continue_run([f"run={copy.path}", change])
    assert len(resumed) == 1


def test_the_baselines_stay_where_none_are_computed(copy: RunFolder):
    """They belong to data and preparation, and not to the epochs of the network."""
    before = json.loads(copy.metrics.read_text())
    continue_run([f"run={copy.path}", "trainer.max_epochs=3", "baseline_pairs=0"])
    after = json.loads(copy.metrics.read_text())
    assert after["run"]["epochs"] == 3
    assert after["baselines"] == before["baselines"]
    assert after["baselines"]["val_seen"]["linear ridge"]["pcc"]["n"] == 8
    assert after["run"]["baseline_seconds"] == before["run"]["baseline_seconds"]
    assert "linear ridge" in copy.report.read_text()


def test_the_baselines_of_other_data_do_not_stay(copy: RunFolder):
    changes = ["trainer.max_epochs=3", "baseline_pairs=0", "data.source.camera.photoelectrons=50"]
    continue_run([f"run={copy.path}", *changes])
    assert not any(json.loads(copy.metrics.read_text())["baselines"].values())


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(MissingFile, match=r"config\.yaml is not there"):
        continue_run([f"run={tmp_path}"])


def test_a_configuration_of_another_version_is_refused(copy: RunFolder):
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(copy.config), {"monitor": {"mode": "max"}}), copy.config)
    with pytest.raises(
        InvalidValue, match=r"no configuration of this version of spt: Key 'mode' not in 'Monitor'.*Train again"
    ):
        read_config(copy)


def test_a_class_that_is_not_trusted_is_refused_before_anything_is_built(copy: RunFolder):
    config = OmegaConf.load(copy.config)
    config.loss._target_ = "subprocess.Popen"  # type: ignore[union-attr]
    OmegaConf.save(config, copy.config)
    with pytest.raises(InvalidValue, match=r"builds subprocess\.Popen"):
        continue_run([f"run={copy.path}"])


class Malice:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_with_a_pickled_command_is_refused_and_not_run(copy: RunFolder, tmp_path: Path):
    torch.save({"state_dict": {}, "extra": Malice(tmp_path / "owned")}, copy.last)
    with pytest.raises(InvalidValue, match=r"last\.ckpt is no checkpoint of spt"):
        continue_run([f"run={copy.path}"])
    assert not (tmp_path / "owned").exists()


def test_relative_paths_of_data_begin_where_the_run_was_started(copy: RunFolder, monkeypatch: pytest.MonkeyPatch):
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"cwd": "/lab/desk"}}}), copy.choices)
    config = composed("data=hdf5", "data.source.path=sets/a.h5")
    assert anchored(config, copy).data.source.path == "/lab/desk/sets/a.h5"
    monkeypatch.chdir("/tmp")
    assert override(config, ["data.source.path=b.h5"]).data.source.path == "/tmp/b.h5"


# The learning rate of a continued run ---------------------------------------------------------------------------------


def rates(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, *changes: str) -> list[float]:
    """Learning rate of every step that the continued run makes."""
    seen: list[float] = []
    step = SpeckleModule.training_step

    def recorded(self: SpeckleModule, batch: object, batch_idx: int) -> torch.Tensor:
        seen.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return step(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(SpeckleModule, "training_step", recorded)
    continue_run([f"run={folder.path}", *changes])
    return seen


def test_a_longer_schedule_goes_on_where_it_would_be(copy: RunFolder, monkeypatch: pytest.MonkeyPatch):
    """Two of four epochs are behind it: of 12 steps with 1 of warm-up, 6."""
    import math

    expected = [1e-2 * (1 + math.cos(math.pi * (k - 1) / 11)) / 2 for k in range(6, 12)]
    assert rates(copy, monkeypatch, "trainer.max_epochs=4") == pytest.approx(expected)


def test_another_learning_rate_and_decay_are_taken(copy: RunFolder, monkeypatch: pytest.MonkeyPatch):
    changes = ["trainer.max_epochs=3", "optimizer.lr=5e-5", "scheduler.final=1.0", "optimizer.weight_decay=0.5"]
    assert rates(copy, monkeypatch, *changes) == pytest.approx([5e-5] * 3)
    last = torch.load(copy.last, weights_only=True)["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in last] == [0.5, 0.0]
    assert [group["initial_lr"] for group in last] == [5e-5] * 2


# The command line -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["run=a/0_loss=dice,seed=1"], Path("a/0_loss=dice,seed=1")),
        (["run='a b'", "x=1"], Path("a b")),
        (["run=~/x"], Path.home() / "x"),
        (["run=null"], None),
        (["loss=bce"], None),
        (["run=a", "--help"], None),
    ],
)
def test_the_folder_is_read_as_it_is_written(arguments: list[str], folder: Path | None):
    assert named_run(arguments) == folder


def test_hydra_is_given_what_it_reads():
    given = ["weights=0_loss=dice,seed=1/best.ckpt", "logger=null", "loss=dice,bce", "-m", "x='a=b'", "a=${b}", "+c=1"]
    got = ["weights='0_loss=dice,seed=1/best.ckpt'", "~logger", "loss=dice,bce", "-m", "x='a=b'", "a=${b}", "+c=1"]
    assert for_hydra(given) == got
