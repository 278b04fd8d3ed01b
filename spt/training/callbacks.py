"""What every run does at its steps and epochs: seed, say how fast it is, write the history."""

import csv
import logging
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from spt.data.pairs import Sample
from spt.files import atomic
from spt.training.seeding import seed_everything

log = logging.getLogger(__name__)


class EpochSeed(Callback):
    """Seeds every epoch by (seed, epoch, process), so that an epoch repeated after a crash draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed Python, NumPy and torch."""
        seed_everything(self.seed, 1 + trainer.current_epoch, trainer.global_rank)


class Speed(Callback):
    """Says which device works, how many samples a second, and how long the run will take.

    Where no terminal shows a progress bar (a job's log file), it says every ``every`` seconds how far the run is.
    """

    def __init__(self, warm_up: int = 3, measured: int = 10, every: float = 60.0) -> None:
        self.warm_up, self.measured, self.every = warm_up, measured, every
        self.samples_per_second: float | None = None  # unknown until enough steps were timed
        self._seen, self._samples, self._since, self._told = 0, 0, 0.0, time.perf_counter()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the device and the precision."""
        device = trainer.strategy.root_device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
        log.info(
            "Device: %s (%s), processes %d, precision %s.",
            device,
            name,
            trainer.world_size,
            trainer.precision,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        """Time the first steps after the warm-up, then report once."""
        self._seen += 1
        if self._seen == self.warm_up:
            self._since = self._now(trainer)
        if self.warm_up < self._seen <= self.warm_up + self.measured:
            self._samples += len(batch["index"]) * trainer.world_size
        if self._seen == self.warm_up + self.measured:
            self.samples_per_second = self._samples / (self._now(trainer) - self._since)
            self._report(trainer, len(batch["index"]) * trainer.world_size, self.samples_per_second)
            self._told = time.perf_counter()
        if not sys.stdout.isatty() and time.perf_counter() - self._told > self.every:
            self._told = time.perf_counter()
            steps, loss = trainer.num_training_batches, loss_of(trainer, outputs).item()
            log.info("epoch %d, step %d of %d: loss %.3f", trainer.current_epoch, batch_idx + 1, steps, loss)

    @staticmethod
    def _now(trainer: Trainer) -> float:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _report(self, trainer: Trainer, batch: int, rate: float) -> None:
        steps = int(trainer.estimated_stepping_batches) - trainer.global_step
        left = steps * trainer.accumulate_grad_batches * batch / rate
        log.info("%.1f samples/s; training will take about %s more.", rate, _minutes(left))
        if trainer.strategy.root_device.type == "cpu" and left > 300:
            log.info("No GPU is used. `python train.py experiment=quick` shows a result in under 5 minutes on 2 cores.")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def loss_of(trainer: Trainer, outputs: Any) -> Tensor:
    """The loss of a training batch, as the module returned it: Lightning divides it by the batches of a step."""
    loss: Tensor = outputs["loss"] * trainer.accumulate_grad_batches
    return loss


class TrainingLoss(Callback):
    """Logs the loss of the steps that are written down, and its mean over every epoch.

    ``log`` takes longer than all the rest of Lightning's work on a step: it copies what it knows of the value. So it is
    not called in every step.
    """

    def __init__(self) -> None:
        self._sum, self._samples = torch.zeros(()), 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the mean anew."""
        self._sum, self._samples = torch.zeros((), device=pl_module.device), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        """Add the loss to the mean; nothing waits for a GPU here."""
        loss, samples = loss_of(trainer, outputs), len(batch["index"])
        self._sum, self._samples = self._sum + loss * samples, self._samples + samples
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            pl_module.log("train/loss_step", loss, on_step=True, on_epoch=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the mean."""
        pl_module.log("train/loss_epoch", self._sum / self._samples)


class History(Callback):
    """One row an epoch in ``metrics.csv``; a continued run drops the rows of the epochs it repeats."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._validated = -1  # the last epoch that was

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that the values of this epoch are its own."""
        self._validated = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append the epoch's means and log them in one line; an epoch that was not validated has no such values."""
        if not trainer.is_global_zero:
            return
        values = {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in sorted(trainer.callback_metrics.items())
            if "/" in name and not name.startswith("lr-") and not name.endswith("_step")
            if name.startswith("train/") or self._validated == trainer.current_epoch
        }
        row = {"epoch": str(trainer.current_epoch), "step": str(trainer.global_step)} | {
            name.removesuffix("_epoch"): f"{value:.6g}" for name, value in values.items()
        }
        rows = [*(old for old in self._rows() if int(old["epoch"]) < trainer.current_epoch), row]
        with atomic(self.path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for line in rows for name in line)), restval="")
            writer.writeheader()
            writer.writerows(rows)
        shown = {k: v for k, v in row.items() if k == "train/loss" or k.endswith("/pcc")}
        log.info("epoch %d: %s", trainer.current_epoch, ", ".join(f"{k} {float(v):.3f}" for k, v in shown.items()))

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))
