"""scripts/sweep.py: the search goes on where it stopped, and what cannot be searched is refused before it begins."""

import csv
import os
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import optuna
import pytest
import torch
from conftest import ROOT, TINY, command
from matplotlib._pylab_helpers import Gcf
from omegaconf import OmegaConf
from optuna.trial import TrialState
from PIL import Image

from spt.errors import InvalidValue, UserError
from spt.run import search as verb
from spt.run.search import Pruning, Search, search
from spt.run.search_results import write_results

SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "loss": ["dice", "bce"]}


def wanted(folder: Path, trials: int = 4, **changed: Any) -> Search:
    return Search(**{"folder": folder, "base": ["seed=3"], "space": SPACE, "trials": trials, **changed})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of a training: the value is high near a learning rate of 1e-3. The configurations that were asked for."""
    asked: list[Any] = []

    def train_job(config: Any, folder: Any, callbacks: Any) -> float:
        asked.append((config, folder.path.name))
        return 1 - abs(float(torch.tensor(config.optimizer.lr).log10()) + 3) / 3

    monkeypatch.setattr(verb, "train_job", train_job)
    return asked


def test_trials_have_the_settings_that_the_search_drew(tmp_path: Path, trained: list[Any]):
    study = search(wanted(tmp_path))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    for trial, (config, folder) in zip(study.trials, trained, strict=True):
        assert config.seed == 3
        assert config.optimizer.lr == pytest.approx(trial.params["optimizer.lr"])
        assert (
            config.loss._target_ == {"dice": "spt.losses.DiceLoss", "bce": "spt.losses.BCELoss"}[trial.params["loss"]]
        )
        assert OmegaConf.load(tmp_path / "trials" / folder / ".hydra/config.yaml") == config
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 4


def test_a_search_that_has_its_trials_is_finished_and_one_that_wants_more_goes_on(tmp_path: Path, trained: list[Any]):
    search(wanted(tmp_path))
    search(wanted(tmp_path))
    assert len(trained) == 4
    study = search(wanted(tmp_path, 6))
    assert len(trained) == 6
    assert [folder for _, folder in trained] == [f"{k:04d}" for k in range(6)]
    assert len(study.trials) == 6


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_whose_process_died_goes_on_in_its_folder(tmp_path: Path, trained: list[Any], monkeypatch):
    study = search(wanted(tmp_path, 1))
    lost, alive = study.ask(), study.ask()
    params = [verb._suggest(lost, name, values) for name, values in SPACE.items()]
    lost.set_user_attr("process", [platform.node(), 2**30])
    alive.set_user_attr("process", [platform.node(), os.getpid()])
    study = search(wanted(tmp_path, 2))
    config, folder = trained[-1]
    assert folder == "0001"
    assert config.optimizer.lr == pytest.approx(params[0])
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.COMPLETE]


def test_a_trial_that_fails_is_named_and_the_others_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def train_job(config: Any, folder: Any, callbacks: Any) -> float:
        if folder.path.name == "0001":
            raise UserError("the width does not fit.")
        return 0.5

    monkeypatch.setattr(verb, "train_job", train_job)
    study = search(wanted(tmp_path, 3))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert (tmp_path / "trials/0001/error.txt").read_text() == "the width does not fit.\n"


def test_a_search_whose_trials_all_fail_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def train_job(config: Any, folder: Any, callbacks: Any) -> float:
        if folder.path.name == "0000" and working:
            return 0.5
        raise UserError("no data.")

    monkeypatch.setattr(verb, "train_job", train_job)
    working = False
    with pytest.raises(InvalidValue, match=r"1 trial\(s\) failed, the last one with: no data"):
        search(wanted(tmp_path / "a", 3))
    working = True
    with pytest.raises(InvalidValue, match=r"3 trial\(s\) failed, the last one with: no data"):
        search(wanted(tmp_path / "b", 3))


def test_null_and_true_are_choices(tmp_path: Path, trained: list[Any]):
    search(wanted(tmp_path, 2, space={"output_prior": [None], "deterministic": [True]}))
    assert [(config.output_prior, config.deterministic) for config, _ in trained] == [(None, True)] * 2


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def train_job(*given: Any) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(verb, "train_job", train_job)
    with pytest.raises(ZeroDivisionError):
        search(wanted(tmp_path))


@pytest.mark.parametrize("changed", [{"base": ["seed=4"]}, {"space": {"loss": ["dice"]}}])
def test_another_search_in_the_same_folder_is_refused(tmp_path: Path, trained: list[Any], changed: dict[str, Any]):
    search(wanted(tmp_path, 1))
    with pytest.raises(InvalidValue, match=r"holds a study with another (base|space).* Choose another folder="):
        search(wanted(tmp_path, 2, **changed))
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"space": {}}, "sweep.space names nothing to look for"),
        ({"space": {"seed": 3}}, "sweep.space.seed must be a list, or low and high, got 3"),
        ({"space": {"seed": "ab"}}, "sweep.space.seed must be a list"),
        ({"space": {"seed": {"low": 1}}}, "takes low, high, and step or log, got low"),
        ({"space": {"seed": {"low": 1, "high": 2, "steps": 3}}}, "takes low, high, and step or log"),
        ({"space": {"seed": {"low": 2, "high": 1}}}, "low must be below high"),
        ({"space": {"seed": {"low": 0, "high": 1, "log": True}}}, "with log it must be positive"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path: Path, changed: dict[str, Any], said: str):
    with pytest.raises(InvalidValue, match=said):
        wanted(tmp_path, **changed)


def test_a_wrong_name_is_refused_before_a_study_begins(tmp_path: Path):
    with pytest.raises(Exception, match=r"model\.wideness"):
        search(wanted(tmp_path / "new", space={"model.wideness": [1, 2]}))
    assert not (tmp_path / "new").exists()


def test_weak_trials_are_stopped_after_an_epoch():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
    first, second = study.ask(), study.ask()
    first.report(0.9, 0)
    study.tell(first, 0.9)
    module, trainer = Any, SimpleNamespace(callback_metrics={"val_seen/pcc": torch.tensor(0.5)}, current_epoch=0)
    Pruning(second, "val_seen/loss").on_train_epoch_end(trainer, module)  # not measured in this epoch
    with pytest.raises(optuna.TrialPruned):
        Pruning(second, "val_seen/pcc").on_train_epoch_end(trainer, module)


def test_results_begin_with_the_best(tmp_path: Path, trained: list[Any], monkeypatch: pytest.MonkeyPatch):
    style = matplotlib.rcParams.copy()
    study = search(wanted(tmp_path, 5))
    write_results(study, tmp_path)
    assert not (tmp_path / "importances.png").exists()  # five trials say nothing on importance
    monkeypatch.setattr("spt.run.search_results.ENOUGH", 5)
    lines = write_results(study, tmp_path).splitlines()
    assert lines[0] == "| trial | value | optimizer.lr | loss |"
    best = max(study.trials, key=lambda trial: trial.value or 0)
    assert lines[2].startswith(f"| {best.number} | {best.value:.4f} |")
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [row["folder"] for row in rows] == [f"{k:04d}" for k in range(5)]
    assert float(rows[2]["value"]) == study.trials[2].value
    for name in ("importances", "parallel"):
        assert Image.open(tmp_path / f"{name}.png").size[0] > 300
    assert Gcf.get_all_fig_managers() == []
    changed = {name for name in style if name != "backend" and matplotlib.rcParams[name] != style[name]}
    assert changed == set(), "figures that follow would look otherwise"


@pytest.mark.parametrize("path", sorted((ROOT / "configs/sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_of_sweeps_can_be_searched(path: Path, tmp_path: Path, trained: list[Any]):
    file: Any = OmegaConf.to_object(OmegaConf.load(path))
    search(Search(tmp_path, file["base"], file["space"], 2))
    assert len(trained) == 2


def test_the_command_names_what_is_missing():
    ended = command("scripts/sweep.py")
    assert ended.code == 2
    assert "sweep= is missing. Choose a file of configs/sweep" in ended.err


@pytest.mark.slow
def test_two_trials_from_the_command_line(tmp_path: Path):
    small = ",".join(f'"{override}"' for override in [*TINY, "~logger", "baseline_pairs=0"])
    ended = command("scripts/sweep.py", "sweep=loss_and_lr", "trials=2", f"folder={tmp_path}", f"overrides=[{small}]")
    assert ended.code == 0, ended
    assert "| trial | value | loss | optimizer.lr |" in ended.out
    assert len(list(tmp_path.glob("trials/*/metrics.json"))) == 2
