"""Jobs of a sweep (``-m``): finished ones are left alone, stopped ones go on, and the end says what came out."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from spt.errors import InvalidValue, UserError
from spt.run.environment import read_starts
from spt.run.folder import RunFolder

if TYPE_CHECKING:
    from lightning import Callback

log = logging.getLogger(__name__)


def train_job(config: DictConfig, folder: RunFolder, callbacks: Sequence[Callback] = ()) -> float:
    """Train one job; in the folder of an earlier start of it, do what is left.

    Args:
        config: of the job.
        folder: of the job; Hydra wrote its configuration there.
        callbacks: of the trainer, beside the configured ones.
    Returns:
        The best value of ``config.monitor``.
    Raises:
        UserError: as :func:`spt.run.train.train`, or if the folder holds a run of other settings.
    """
    from spt.run.finished import said_if_finished
    from spt.run.train import prepare, resume, train

    folder.error.unlink(missing_ok=True)
    if not folder.last.is_file():
        return train(config, folder, callbacks)
    starts = read_starts(folder)
    before = starts[-1].get("configuration") if starts else None
    if before != OmegaConf.to_yaml(config):
        if before:
            folder.config.write_text(before, encoding="utf-8")
        raise InvalidValue(
            f"{folder.path} holds a run of other settings, or of an earlier version. Choose another hydra.sweep.dir "
            "(of a single run: hydra.run.dir)."
        )
    prepared = prepare(config, folder, callbacks=callbacks)
    prepared.check_continuation()
    if said_if_finished(prepared):
        log.info("Finished already: %s", folder.path)
        return best_value(folder, config.monitor.name)
    return resume(prepared)


def best_value(folder: RunFolder, monitor: str) -> float:
    """The best value that a run reached.

    Args:
        folder: of a run that was validated.
        monitor: name of the value.
    """
    from spt.training.monitor import direction

    with folder.history.open() as file:
        values = [float(row[monitor]) for row in csv.DictReader(file) if row.get(monitor)]
    return min(values) if direction(monitor) == "min" else max(values)


def summary(sweep: Path) -> None:
    """Print the scores of a sweep's finished jobs, and why others failed.

    Args:
        sweep: folder of the sweep.
    """
    from spt.evaluation.compare.formats import as_markdown
    from spt.run.compare import compare_runs
    from spt.run.records import run_folders

    folders = [RunFolder(path) for path in run_folders(sweep)]
    if any(folder.metrics.is_file() for folder in folders):
        try:
            print("", as_markdown(compare_runs([sweep]).tables), "", sep="\n", flush=True)
        except UserError as error:
            print(error, file=sys.stderr)
    failed = [folder for folder in folders if folder.error.is_file()]
    stopped = [folder for folder in folders if folder not in failed and not folder.metrics.is_file()]
    lines = [f"{folder.path}: {folder.error.read_text(encoding='utf-8').strip()}" for folder in failed]
    lines += [f"{folder.path}: was stopped." for folder in stopped]
    if lines:
        print("Failed jobs:", *lines, sep="\n  ", file=sys.stderr)
        print(
            f"The same command with hydra.sweep.dir='{sweep}' runs these again and leaves finished jobs alone.",
            file=sys.stderr,
            flush=True,
        )
