"""A run that has nothing left to do is said to be finished, instead of being evaluated once more."""

from spt.errors import UserError
from spt.evaluation.headline import headline
from spt.evaluation.metrics_file import read_metrics
from spt.run.folder import RunFolder
from spt.run.train import Prepared, finished_epochs
from spt.training.initial import read_checkpoint


def said_if_finished(prepared: Prepared) -> str | None:
    """What a run came to, in two lines; None where there is something left to train or to score.

    Args:
        prepared: the run, with the settings that it would go on with.
    """
    folder, trainer = prepared.folder, prepared.trainer
    saved = read_checkpoint(folder.last)
    epochs, steps = finished_epochs(saved), int(saved["global_step"])
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs:
        done, more = f"{epochs} of {trainer.max_epochs} epochs", f"trainer.max_epochs={2 * epochs}"
    elif 0 <= trainer.max_steps <= steps:
        done, more = f"{steps} of {trainer.max_steps} steps", f"trainer.max_steps={2 * steps}"
    else:
        return None
    result = _headline(folder, epochs, prepared.config.baseline_pairs)
    if result is None:
        return None
    return (
        f"This run is finished: {done} are trained. {result} Scores: {folder.metrics}.\n"
        f"Nothing was done or changed. A larger number trains on, for example {more}."
    )


def _headline(folder: RunFolder, epochs: int, baseline_pairs: int) -> str | None:
    """The result in words; None where the scores are missing, damaged, of an earlier epoch, or without baselines."""
    try:
        metrics = read_metrics(folder.metrics)
    except (UserError, OSError):
        return None
    run, baselines = metrics["run"], metrics["baselines"]
    if run.get("epochs") != epochs or (baseline_pairs and "baseline_seconds" not in run):
        return None
    return headline({name: each for name, each in metrics.items() if name in baselines}, baselines)
