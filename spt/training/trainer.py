"""The Lightning trainer with the callbacks that every run has."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import ParallelStrategy

from spt.errors import InvalidValue
from spt.training.callbacks import EpochSeed, History, Speed, TrainingLoss
from spt.training.checkpoints import AtomicCheckpoints, checkpoint_callbacks
from spt.training.figures import ModelGraph
from spt.training.finite import FiniteTraining
from spt.training.monitor import direction
from spt.training.schedules import ConfiguredSchedule

Kind = TypeVar("Kind", bound=Callback)

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Weights, metrics and pictures stay in float32; a mixed precision is that of the network's operations."""


def trainer_arguments(
    folder: Path,
    best: Path,
    last: Path,
    history: Path,
    monitor: str,
    seed: int,
    shape: tuple[int, int, int],
    chosen: list[Callback],
    loggers: list[Logger],
) -> dict[str, Any]:
    """What the configured trainer is given beside its own settings.

    Args:
        folder: of the run.
        best: checkpoint of the best epoch.
        last: checkpoint of the last epoch.
        history: the file of one row an epoch.
        monitor: the value that chooses the best epoch.
        seed: of the run.
        shape: channels, height and width of the network's input.
        chosen: the configured callbacks.
        loggers: the configured loggers.
    """
    if not loggers:  # Lightning refuses to watch the learning rate for nobody
        chosen = [callback for callback in chosen if not isinstance(callback, LearningRateMonitor)]
    own = [EpochSeed(seed), ConfiguredSchedule(), FiniteTraining(last), Speed(), TrainingLoss(), History(history)]
    saving = checkpoint_callbacks(best, last, monitor, direction(monitor))
    return {
        "callbacks": [*own, *chosen, ModelGraph(torch.zeros(1, *shape)), *saving],
        "logger": loggers,
        "plugins": [AtomicCheckpoints()],
        "default_root_dir": str(folder),
    }


def check_trainer(trainer: Trainer, configured: Mapping[str, Any], sweep: bool) -> None:
    """Refuse what cannot end well, before data are made.

    Args:
        trainer: as it was built.
        configured: its settings; on a CPU, Lightning takes another precision than 16-mixed.
        sweep: whether this is one job of several (``-m``).
    Raises:
        InvalidValue: naming the setting.
    """
    if str(trainer.precision) not in PRECISIONS:
        raise InvalidValue(f"trainer.precision={trainer.precision} is not supported. Use {', '.join(PRECISIONS)}.")
    if configured["precision"] == "16-mixed" and trainer.precision != "16-mixed":
        raise InvalidValue("trainer.precision=16-mixed needs a GPU. Use bf16-mixed or 32-true on this CPU.")
    if configured.get("sync_batchnorm") and trainer.strategy.root_device.type != "cuda":
        raise InvalidValue("trainer.sync_batchnorm=true needs GPUs: torch has it for no other device. Leave it out.")
    parallel = trainer.strategy if isinstance(trainer.strategy, ParallelStrategy) else None
    unlaunched = parallel is not None and isinstance(parallel.cluster_environment, LightningEnvironment)
    if trainer.num_nodes > 1 and unlaunched and "MASTER_ADDR" not in os.environ:
        raise InvalidValue(
            f"trainer.num_nodes={trainer.num_nodes}, but nothing says where the other nodes are: this process would "
            "wait for them for ever. Start it with torchrun or SLURM (docs/cluster.md), or set trainer.num_nodes=1."
        )
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch
    if epochs == 0:
        raise InvalidValue("trainer.max_epochs=0 trains nothing. Use 1 or more.")
    if (epochs is None or epochs < 0) and trainer.max_steps < 0:
        raise InvalidValue(
            f"trainer.max_epochs={epochs} gives the learning rate's schedule no end. Set trainer.max_epochs or "
            "trainer.max_steps to more than the run will reach; trainer.max_time may stop it earlier."
        )
    if every is None or (epochs is not None and 0 < epochs < every):
        raise InvalidValue(
            f"trainer.check_val_every_n_epoch={every} never validates in trainer.max_epochs={epochs}, so no epoch "
            f"would be chosen. Use at most {epochs}."
        )
    if sweep and trainer.world_size > 1:
        raise InvalidValue(
            f"a sweep (-m) runs its jobs in one process, but the trainer asks for {trainer.world_size}. Set "
            "trainer.devices=1 and trainer.num_nodes=1, or start every job by itself."
        )


def log_every_epoch(trainer: Trainer, batches: int) -> None:
    """Log at least once an epoch, also where there are fewer batches than the logging interval.

    Args:
        trainer: changed in place.
        batches: of an epoch on one device.
    """
    limit = trainer.limit_train_batches
    used = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set at run time
    trainer.log_every_n_steps = min(interval, max(1, used))  # type: ignore[attr-defined]


def callbacks_of(trainer: Trainer, kind: type[Kind]) -> Iterator[Kind]:
    """The trainer's callbacks of one class."""
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    return (callback for callback in found if isinstance(callback, kind))


def quiet_lightning() -> None:
    """Keep Lightning's warnings, once; its notes on idle accelerators and paid services say nothing of the run."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
    # Raised inside Lightning on torch >= 2.12; nothing a user of spt can change.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    # Mixed precision leaves out its first steps, until the loss is scaled well.
    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step.*")
    # Data in memory need no workers, and a continued run writes into its own checkpoint folder on purpose.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty.*")
