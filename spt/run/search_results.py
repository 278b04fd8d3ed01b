"""What a search came to: a table, a file of all trials, two figures."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from spt.evaluation.score_table import markdown
from spt.files import atomic

DONE = (TrialState.COMPLETE, TrialState.PRUNED)

SHOWN = 10
"""Trials in the printed table."""

ENOUGH = 10
"""Finished trials from which the importance of a setting is drawn."""


def folder_number(trial: FrozenTrial) -> int:
    """A trial that takes up another one works in its folder."""
    taken_up = optuna.storages.RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
    return int(trial.user_attrs.get("folder", trial.number if taken_up is None else taken_up))


def write_results(study: optuna.Study, folder: Path) -> str:
    """Write ``trials.csv``, ``importances.png`` and ``parallel.png``; return the table of the best trials.

    Args:
        study: with trials.
        folder: of the study.
    """
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    trials = sorted(study.get_trials(states=DONE), key=lambda trial: _rank(study, trial))
    with atomic(folder / "trials.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "folder", "state", "value", *names])
        for trial in study.trials:
            place = [trial.number, f"{folder_number(trial):04d}", trial.state.name.lower(), _value(trial)]
            writer.writerow([*place, *(trial.params.get(name, "") for name in names)])
    finished = study.get_trials(states=[TrialState.COMPLETE])
    if len(finished) > 1 and len({trial.value for trial in finished}) > 1:
        _figures(study, folder)
    rows = [[str(t.number), _said(t), *(_short(t.params.get(name, "")) for name in names)] for t in trials[:SHOWN]]
    return markdown([["trial", "value", *names], *rows])


def _figures(study: optuna.Study, folder: Path) -> None:
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    value = json.loads(study.user_attrs["monitor"])
    plotted: dict[str, Callable[..., Any]] = {"parallel": plots.plot_parallel_coordinate}
    if len(study.get_trials(states=[TrialState.COMPLETE])) >= ENOUGH:
        plotted["importances"] = plots.plot_param_importances
    for name, draw in plotted.items():
        with pyplot.rc_context():  # Optuna changes the style of all figures
            figure = draw(study, target_name=value).figure
            assert isinstance(figure, Figure)
            figure.set_size_inches(11, 5)
            with atomic(folder / f"{name}.png") as part:
                figure.savefig(part, format="png", dpi=100, bbox_inches="tight")
            pyplot.close(figure)


def _rank(study: optuna.Study, trial: FrozenTrial) -> tuple[bool, float]:
    """Finished trials first, the best of them before the others."""
    value = _value(trial)
    signed = 0.0 if value == "" else float(value)
    return trial.state != TrialState.COMPLETE, signed if study.direction.name == "MINIMIZE" else -signed


def _value(trial: FrozenTrial) -> float | str:
    """The value of a trial; of a pruned one its last."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else ""


def _said(trial: FrozenTrial) -> str:
    value = _value(trial)
    text = f"{value:.4f}" if isinstance(value, float) else ""
    return text if trial.state == TrialState.COMPLETE else f"{text} (stopped early)"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
