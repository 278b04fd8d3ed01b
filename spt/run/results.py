"""What a finished training leaves: the scores of the best epoch, and pictures."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from spt.errors import UserError
from spt.evaluation.metrics_file import read_metrics
from spt.evaluation.predict import Predictor
from spt.evaluation.scores import Scores
from spt.evaluation.scoring import ResultFiles, evaluate
from spt.metrics.calibration import BINS
from spt.run.data_facts import data_facts
from spt.run.folder import RunFolder
from spt.run.parts import Parts
from spt.run.summary import log_final
from spt.training.callbacks import Speed
from spt.training.figures import ReliabilityDiagrams
from spt.training.initial import load_weights
from spt.training.trainer import callbacks_of

log = logging.getLogger(__name__)

Baselines = dict[str, dict[str, Scores]]
"""Split to baseline to scores."""


def evaluate_best(config: DictConfig, folder: RunFolder, parts: Parts, trainer: Trainer, began: float) -> float:
    """Score the best epoch and the baselines, on the first process alone.

    Args:
        config: of the run.
        folder: where scores and pictures are written.
        parts: the network takes the weights of ``best.ckpt``.
        trainer: that trained it.
        began: when the run began, in seconds of ``time.perf_counter``.
    Returns:
        The best value of the monitor.
    """
    if trainer.is_global_zero:
        load_weights(parts.model, folder.best)
        data, head = parts.data, parts.head
        context = trainer.precision_plugin.val_step_context
        network = parts.model.to(trainer.strategy.root_device)
        facts = run_facts(folder, parts, trainer, began)
        kept: Baselines = {}
        if not config.baseline_pairs:
            kept, seconds = earlier_baselines(folder.metrics, facts["data"])
            facts |= seconds
        bins = next((diagrams.bins for diagrams in callbacks_of(trainer, ReliabilityDiagrams)), BINS)
        result = evaluate(
            Predictor(network, head, data.preparation, data.batch_size, context, data.object_size),
            data.splits,
            ResultFiles(folder.metrics, folder.report, folder.figures),
            facts,
            bins,
            config.baseline_pairs,
            Path(config.cache).expanduser(),
            kept,
        )
        log_final(trainer.loggers, config, folder, result.scores, result.pictures, trainer.global_step)
        if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
            log.info("TensorBoard: tensorboard --logdir %s", folder.path)
        log.info("The whole run took %.0f s on %s.", time.perf_counter() - began, _device(trainer))
    best = trainer.checkpoint_callback
    assert isinstance(best, ModelCheckpoint)
    assert best.best_model_score is not None
    return float(best.best_model_score)


def earlier_baselines(path: Path, data: Mapping[str, Any]) -> tuple[Baselines, dict[str, float]]:
    """The baselines' scores that a continued run has already: they hold as long as data and preparation are the same.

    Args:
        path: ``metrics.json`` of the run.
        data: what the run says of its data now.
    Returns:
        Split to baseline to scores, and their entries of the run's facts; both empty where there are none.
    """
    try:
        metrics = read_metrics(path)
    except (UserError, OSError):
        return {}, {}
    run = metrics["run"]
    if run.get("data") != data or "baseline_seconds" not in run:
        return {}, {}
    log.info("The scores of the baselines stay (baseline_pairs=0): data and preparation are the same.")
    return metrics["baselines"], {"baseline_seconds": run["baseline_seconds"]}


def run_facts(folder: RunFolder, parts: Parts, trainer: Trainer, began: float) -> dict[str, Any]:
    """What ``metrics.json`` says of the run itself."""
    speed = next(callbacks_of(trainer, Speed))
    facts = {
        "network": type(parts.model).__name__,
        "parameters": sum(p.numel() for p in parts.model.parameters()),
        "epochs": trainer.current_epoch,
        "device": _device(trainer),
        "precision": str(trainer.precision),
        "samples_per_second": speed.samples_per_second,
        "seconds": round(time.perf_counter() - began, 1),
        "data": data_facts(parts.data),
    }
    if folder.choices.is_file():
        choices = OmegaConf.select(OmegaConf.load(folder.choices), "hydra.runtime.choices")
        facts["chosen"] = f"{choices['model']}, {choices['loss']}"
    return facts


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads"
