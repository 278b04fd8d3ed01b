"""The verb sweep: Optuna looks for good settings, one training a trial."""

import json
import logging
import os
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial, TrialState

from spt.errors import InvalidValue, UserError
from spt.run.command import explain
from spt.run.folder import RunFolder
from spt.run.parts import build_parts
from spt.run.search_results import DONE, folder_number
from spt.run.sweep_jobs import train_job
from spt.run.trust import CONFIGS
from spt.training.monitor import direction

log = logging.getLogger(__name__)

HEARTBEAT, GRACE = 30, 90
"""A trial whose process gave no sign for ``GRACE`` seconds is taken up by another one."""


@dataclass(frozen=True)
class Search:
    """What is looked for, and where.

    Args:
        folder: of the study; one that is there goes on.
        base: overrides of ``train.py`` that all trials have.
        space: override to a list of choices, or to ``{low, high}`` with ``step`` or ``log: true``.
        trials: of the whole study, pruned ones among them.
        seed: of the search.
        pruner: decides which trials are stopped early; None lets all end.
    Raises:
        InvalidValue: naming what cannot be searched.
    """

    folder: Path
    base: Sequence[str]
    space: Mapping[str, Any]
    trials: int
    seed: int = 0
    pruner: optuna.pruners.BasePruner | None = None

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InvalidValue(f"trials must be at least 1, got {self.trials}.")
        if not self.space:
            raise InvalidValue("sweep.space names nothing to look for. Example: optimizer.lr: {low: 1e-4, high: 1e-2}.")
        for name, values in self.space.items():
            _check(name, values)


def search(wanted: Search) -> optuna.Study:
    """Run trials until the study has as many as are wanted; a killed search goes on where it stopped.

    Several processes may work on one folder.

    Raises:
        UserError: if the settings of the first trial do not work, or the folder holds another study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial is said by us, in a line
    # The heartbeat and the figures have been called experimental for years.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    config, _ = _composed([*wanted.base, *_first(wanted.space)])
    build_parts(config)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    monitor, file = str(config.monitor.name), wanted.folder / "study.db"
    try:
        study = optuna.create_study(
            study_name="sweep",
            storage=_storage(file),
            sampler=optuna.samplers.TPESampler(seed=None),
            pruner=wanted.pruner or optuna.pruners.NopPruner(),
            direction="minimize" if direction(monitor) == "min" else "maximize",
            load_if_exists=True,
        )
    except (sqlalchemy.exc.DatabaseError, optuna.exceptions.StorageInternalError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidValue(f"{file} cannot be used ({reason}). Restore it, or choose another folder=….") from error
    _check_same(study, wanted, monitor)
    _take_up(study)
    study.sampler = optuna.samplers.TPESampler(seed=wanted.seed + len(study.trials))  # no two processes draw the same
    study.optimize(
        partial(_objective, wanted, monitor),
        callbacks=[optuna.study.MaxTrialsCallback(wanted.trials, DONE), partial(_stop_where_nothing_works, wanted)],
        n_trials=None if len(study.get_trials(states=DONE)) < wanted.trials else 0,
        catch=(UserError,),
    )
    return study


def _objective(wanted: Search, monitor: str, trial: optuna.Trial) -> float:
    overrides = [f"{name}={_text(_suggest(trial, name, values))}" for name, values in wanted.space.items()]
    trial.set_user_attr("process", [platform.node(), os.getpid()])
    number = folder_number(trial.study.trials[trial.number])
    folder = RunFolder(wanted.folder / "trials" / f"{number:04d}")
    log.info("Trial %d: %s", number, " ".join(overrides))
    try:
        config, choices = _composed([*wanted.base, *overrides])
        _write(folder, config, choices, [*wanted.base, *overrides])
        return train_job(config, folder, [Pruning(trial, monitor)])
    except optuna.TrialPruned:
        log.info("Trial %d was stopped early: others were better at this epoch.", number)
        raise
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.error.write_text(f"{message}\n", encoding="utf-8")
        trial.set_user_attr("failed", message)
        log.warning("Trial %d failed: %s", number, message)
        raise InvalidValue(message) from error


def _stop_where_nothing_works(wanted: Search, study: optuna.Study, trial: FrozenTrial) -> None:
    """End a search whose trials fail, which would otherwise go on for ever.

    Raises:
        InvalidValue: if the first trial failed, or as many as are wanted.
    """
    if trial.state != TrialState.FAIL:
        return
    failed = [one for one in study.get_trials(states=[TrialState.FAIL]) if "failed" in one.user_attrs]
    if not study.get_trials(states=DONE) or len(failed) >= wanted.trials:
        raise InvalidValue(f"{len(failed)} trial(s) failed, the last one with: {trial.user_attrs.get('failed')}")


def _take_up(study: optuna.Study) -> None:
    """Put trials whose process on this machine is gone at the head of the queue; those of others have a heartbeat."""
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        machine, process = trial.user_attrs.get("process", (None, 0))
        if machine != platform.node() or _is_alive(process):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except ValueError:  # another process was quicker
            continue
        study.enqueue_trial(trial.params, user_attrs={"folder": folder_number(trial)})


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Pruning(Callback):
    """Tells Optuna the monitored value after every epoch, and stops the training where Optuna says so.

    Args:
        trial: of a study.
        monitor: name of the value.
    """

    def __init__(self, trial: optuna.Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and ask.

        Raises:
            TrialPruned: if the trial is to be stopped.
        """
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            return
        self.trial.report(float(value), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    if isinstance(values, Sequence):
        return trial.suggest_categorical(name, list(values))
    low, high, step, logarithmic = values["low"], values["high"], values.get("step"), bool(values.get("log"))
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=step or 1, log=logarithmic)
    return trial.suggest_float(name, low, high, step=step, log=logarithmic)


def _first(space: Mapping[str, Any]) -> list[str]:
    """The first choice of each option, to try whether the names work."""
    firsts = {name: values[0] if isinstance(values, Sequence) else values["low"] for name, values in space.items()}
    return [f"{name}={_text(value)}" for name, value in firsts.items()]


def _text(value: Any) -> str:
    """A value as an override."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _check(name: str, values: Any) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence | Mapping) or not values:
        raise InvalidValue(f"sweep.space.{name} must be a list, or low and high, got {values!r}.")
    if isinstance(values, Sequence):
        return
    unknown = set(values) - {"low", "high", "step", "log"}
    if unknown or not {"low", "high"} <= set(values):
        raise InvalidValue(f"sweep.space.{name} takes low, high, and step or log, got {', '.join(map(str, values))}.")
    if not values["low"] < values["high"] or (values.get("log") and (values["low"] <= 0 or values.get("step"))):
        raise InvalidValue(
            f"sweep.space.{name}: low must be below high; with log it must be positive, and there is no step. Got "
            f"{dict(values)}."
        )


def _check_same(study: optuna.Study, wanted: Search, monitor: str) -> None:
    """Refuse to mix two searches in one folder.

    Raises:
        InvalidValue: if base, space or monitor are not those of the study.
    """
    asked = {"base": wanted.base, "space": wanted.space, "monitor": monitor}
    for name, value in asked.items():
        text = json.dumps(value)
        if study.user_attrs.get(name, text) != text:
            raise InvalidValue(
                f"{wanted.folder} holds a study with another {name}: {study.user_attrs[name]}. Choose another folder=…."
            )
        study.set_user_attr(name, text)


def _storage(path: Path) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(
        f"sqlite:///{path.resolve()}",
        engine_kwargs={"connect_args": {"timeout": 60}},
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=5),
    )


def _composed(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The configuration of a training, and which file of each folder was chosen."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    assert isinstance(choices, dict)
    return config, {str(name): value for name, value in choices.items()}


def _write(folder: RunFolder, config: DictConfig, choices: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """What Hydra writes for a run that it starts."""
    folder.config.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder.config)
    OmegaConf.save(OmegaConf.create(list(overrides)), folder.overrides)
    runtime = {"hydra": {"runtime": {"choices": dict(choices), "cwd": str(Path.cwd())}}}
    OmegaConf.save(OmegaConf.create(runtime), folder.choices)
