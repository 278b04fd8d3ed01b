"""What happens beside the training: pictures, history, speed, seeds, guards."""

import csv
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from spt.data.pairs import Pairs, Sample
from spt.data.preparation import Preparation
from spt.evaluation import pictures
from spt.evaluation.predict import Predictor
from spt.evaluation.reliability import reliability_diagram
from spt.files import atomic
from spt.heads import Head
from spt.metrics import Reliability, calibration_error
from spt.metrics.calibration import BINS

log = logging.getLogger(__name__)


def tensorboard(trainer: Trainer) -> Any | None:
    """The SummaryWriter of the first TensorBoard logger, if there is one on this process."""
    writers = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return writers[0] if writers and trainer.is_global_zero else None


class EpochSeed(Callback):
    """Seeds every epoch by (seed, epoch, process), so that an epoch repeated after a crash draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed Python, NumPy and torch."""
        seed = (self.seed * 1_000_003 + trainer.current_epoch * 1009 + trainer.global_rank) % 2**32
        seed_everything(seed, workers=True, verbose=False)


class FiniteLoss(Callback):
    """Stops a run whose loss is NaN or infinite, and names the step and the samples."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        """Check the loss of the step that was just made.

        Raises:
            ValueError: if it is not finite.
        """
        if not torch.isfinite(outputs["loss"]):
            where = f"epoch {trainer.current_epoch}, step {trainer.global_step}"
            raise ValueError(
                f"the loss became {outputs['loss'].item()} in {where}, on samples {batch['index'].tolist()} of train. "
                "checkpoints/last.ckpt holds the epoch before. Lower optimizer.lr or set trainer.precision=32-true, "
                "then continue with run=<folder>."
            )


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
        if not sys.stderr.isatty() and time.perf_counter() - self._told > self.every:
            self._told = time.perf_counter()
            steps, loss = trainer.num_training_batches, outputs["loss"].item()
            log.info("epoch %d, step %d of %d: loss %.3f", trainer.current_epoch, batch_idx + 1, steps, loss)

    @staticmethod
    def _now(trainer: Trainer) -> float:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _report(self, trainer: Trainer, batch: int, rate: float) -> None:
        left = (int(trainer.estimated_stepping_batches) - trainer.global_step) * batch / rate
        log.info("%.1f samples/s; training will take about %s more.", rate, _minutes(left))
        if trainer.strategy.root_device.type == "cpu" and left > 300:
            log.info("No GPU is used. `python train.py experiment=quick` shows a result in under 5 minutes on 2 cores.")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


class History(Callback):
    """One row an epoch in ``metrics.csv``; a continued run drops the rows of the epochs it repeats."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append the epoch's means and log them in one line."""
        if not trainer.is_global_zero:
            return
        values = {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in sorted(trainer.callback_metrics.items())
            if "/" in name and not name.startswith("lr-") and not name.endswith("_step") and name != "train/loss"
        }
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step} | {
            name.removesuffix("_epoch"): f"{value:.6g}" for name, value in values.items()
        }
        rows = [old for old in self._rows() if int(old["epoch"]) < trainer.current_epoch]
        with atomic(self.path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row), restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows([*rows, row])
        shown = {k: v for k, v in row.items() if k == "train/loss" or k.endswith("/pcc")}
        log.info("epoch %d: %s", trainer.current_epoch, ", ".join(f"{k} {float(v):.3f}" for k, v in shown.items()))

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))


def _due(trainer: Trainer, every: int) -> bool:
    """Whether this epoch is drawn: one in ``every``, and the last."""
    done = trainer.current_epoch + 1
    return done % every == 0 or done == trainer.max_epochs


class ContactSheets(Callback):
    """Draws speckle | prediction | truth | error of every watched split to TensorBoard and to ``figures/``.

    Args:
        every: epochs between two sheets; the last epoch always has one.
        images: images of a sheet.
    """

    def __init__(self, every: int = 1, images: int = 8) -> None:
        if every < 1 or images < 1:
            raise ValueError(f"callbacks.contact_sheets needs every >= 1 and images >= 1, got {every} and {images}.")
        self.every, self.images = every, images
        self.folder: Path | None = None
        self.splits: dict[str, Pairs] = {}
        self.preparation = Preparation()

    def bind(self, folder: Path, splits: dict[str, Pairs], preparation: Preparation) -> None:
        """Tell where to draw and from which pairs; a few images are taken from each split."""
        self.folder, self.preparation = folder, preparation
        for name, pairs in splits.items():
            chosen = pictures.evenly(len(pairs), self.images)
            self.splits[name] = Pairs(name, pairs.speckle[chosen], pairs.target[chosen], pairs.diffuser[chosen])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, on the first process."""
        epoch = trainer.current_epoch
        if not (_due(trainer, self.every) and trainer.is_global_zero and self.folder):
            return
        writer = tensorboard(trainer)
        assert isinstance(pl_module.model, nn.Module)
        context = trainer.precision_plugin.val_step_context
        predict = Predictor(pl_module.model, cast(Head, pl_module.head), self.preparation, precision=context)
        for name, pairs in self.splits.items():
            _, pred = predict(pairs.speckle)
            sheet = pictures.contact_sheet(pairs.speckle, pred, pairs.images(), f"{name}, epoch {epoch}")
            pictures.save(sheet, self.folder / f"{name}_last_epoch.png")
            if writer:
                writer.add_image(f"contact_sheet/{name}", sheet, epoch, dataformats="HWC")


class ReliabilityDiagrams(Callback):
    """Logs the calibration error of every watched split, and draws its reliability to TensorBoard and ``figures/``.

    Does nothing for a head whose images are no probabilities: such a head is not bound.

    Args:
        every: epochs between two diagrams; the last epoch always has one. The error is logged every epoch.
        bins: bins of equal width.
    """

    def __init__(self, every: int = 1, bins: int = BINS) -> None:
        if every < 1 or bins < 1:
            raise ValueError(f"callbacks.reliability needs every >= 1 and bins >= 1, got {every} and {bins}.")
        self.every, self.bins = every, bins
        self.folder: Path | None = None
        self.splits: dict[str, Reliability] = {}

    def bind(self, folder: Path, splits: Sequence[str]) -> None:
        """Tell where to draw and what the validation loaders are called, in their order."""
        self.folder, self.splits = folder, {name: Reliability(self.bins) for name in splits}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Sort the pixels of the images that the validation step returned into bins."""
        if self.splits:
            list(self.splits.values())[dataloader_idx].update(outputs, batch["target"], batch["index"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the error; draw, on the first process."""
        writer, epoch = tensorboard(trainer), trainer.current_epoch
        draws = _due(trainer, self.every) and trainer.is_global_zero
        for name, split in self.splits.items():
            sums = split.compute()
            split.reset()
            pl_module.log(f"{name}/ece", calibration_error(sums).float())
            if draws and self.folder:
                diagram = reliability_diagram(sums, f"{name}, epoch {epoch}")
                pictures.save(diagram, self.folder / f"{name}_reliability_last_epoch.png")
                if writer:
                    writer.add_image(f"reliability/{name}", diagram, epoch, dataformats="HWC")


class ModelGraph(Callback):
    """Writes the network's graph to TensorBoard when training starts."""

    def __init__(self, speckle: Tensor) -> None:
        self.speckle = speckle

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Trace one sample; a network that cannot be traced costs the graph, not the run."""
        writer = tensorboard(trainer)
        if writer is None:
            return
        was_training = pl_module.training
        pl_module.eval()
        try:
            with warnings.catch_warnings():
                # The size checks are constants of the one traced sample, as intended.
                warnings.simplefilter("ignore", torch.jit.TracerWarning)
                warnings.simplefilter("ignore", FutureWarning)
                writer.add_graph(pl_module, self.speckle.to(pl_module.device), use_strict_trace=False)
        except RuntimeError as error:
            log.warning("No model graph in TensorBoard: %s", str(error).splitlines()[0])
        pl_module.train(was_training)
