"""Loggers beside TensorBoard, and pictures for those that can show them. Every one goes on where a run stopped."""

import csv
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from lightning import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from spt.errors import InvalidValue
from spt.files import atomic


class CSVLog(Logger):
    """All logged numbers in ``csv/metrics.csv`` of the run folder, a row for everything that is logged at a step.

    A continued run drops the rows of the steps that it repeats. Lightning's own CSV logger would delete all of them.

    Args:
        save_dir: the run folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.path = Path(save_dir) / "csv" / "metrics.csv"
        self._names: list[str] = []  # of the columns; none until the first row

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """None: a run has one such file."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the file holds numbers of steps alone."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row."""
        assert step is not None
        row: dict[str, Any] = {"step": step, **metrics}
        if not self._names or not row.keys() <= set(self._names):
            rows = [old for old in self._rows() if self._names or int(old["step"]) < step]
            self._names = list(dict.fromkeys(name for line in (*rows, row) for name in line))
            with atomic(self.path) as part, part.open("w", newline="") as file:
                writer = csv.DictWriter(file, self._names, restval="")
                writer.writeheader()
                writer.writerows(rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._names, restval="").writerow(row)

    def _rows(self) -> list[dict[str, str]]:
        """All rows; without the last one where a killed process wrote half of it."""
        if not self.path.exists():
            return []
        whole = self.path.read_bytes().rpartition(b"\n")[0].decode()
        return list(csv.DictReader(whole.splitlines()))


class WandbLog(WandbLogger):
    """Weights & Biases, in ``wandb/`` of the run folder. A continued run is the same run there.

    Args:
        save_dir: the run folder.
        project: what the run belongs to.
        name: of the run; None for that of its folder.
        offline: True keeps everything on this machine; ``wandb sync`` uploads it later.
    Raises:
        InvalidValue: if wandb is not installed.
    """

    def __init__(self, save_dir: str, project: str = "spt", name: str | None = None, offline: bool = True) -> None:
        if find_spec("wandb") is None:
            raise InvalidValue("logger=wandb needs wandb. Install it: pip install 'spt[wandb]'.")
        folder = Path(save_dir)
        earlier = sorted(folder.glob("wandb/*run-*-*"))  # offline-run-<time>-<id> or run-<time>-<id>
        super().__init__(
            name=name or folder.resolve().name,
            save_dir=save_dir,
            version=earlier[-1].name.rpartition("-")[2] if earlier else None,
            project=project,
            mode="offline" if offline else None,
            settings={"console": "off", "silent": True},  # the terminal is the progress bar's
        )
        self._wandb_init.pop("anonymous")  # wandb warns of it

    def close(self) -> None:
        """End the run, so that the next job of a sweep begins another."""
        if self._experiment is not None:
            self._experiment.finish()
            self._experiment = None


def close(loggers: Iterable[Logger]) -> None:
    """End what outlives a training."""
    for logger in loggers:
        if isinstance(logger, WandbLog):
            logger.close()


def step_of_scalars(trainer: Trainer) -> int:
    """The optimizer step at which Lightning logs the scalars of the validation that is running."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def show_picture(loggers: Iterable[Logger], tag: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
    """Show a picture in every logger that can.

    Args:
        loggers: of a trainer.
        tag: name of the picture.
        picture: red, green and blue.
        step: optimizer step.
    """
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(tag, picture, step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(tag, [picture], step)
