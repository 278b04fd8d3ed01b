"""From a configuration to a trained network, its scores and its pictures."""

import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from spt.command import Interrupted
from spt.config import build
from spt.data.datamodule import SpeckleDataModule
from spt.evaluation.logits import gives_probabilities
from spt.evaluation.predict import Predictor
from spt.evaluation.run_folder import RunFolder
from spt.evaluation.scores import Scores
from spt.evaluation.scoring import ResultFiles, evaluate
from spt.heads import Head
from spt.metrics.calibration import BINS
from spt.training.callbacks import (
    ContactSheets,
    EpochSeed,
    FiniteLoss,
    History,
    ModelGraph,
    ReliabilityDiagrams,
    Speed,
)
from spt.training.checkpoints import AtomicCheckpoints, checkpoint_callbacks
from spt.training.initial import load_weights, set_output_prior
from spt.training.memory import checkpoint_activations
from spt.training.module import SpeckleModule

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Callback)


def train(cfg: DictConfig, folder: RunFolder, resume: bool = False) -> float:
    """Train, then score the best epoch and the baselines.

    Args:
        cfg: the composed configuration.
        folder: where everything of this run is written.
        resume: go on from ``last.ckpt``.
    Returns:
        The best value of ``cfg.monitor``.
    Raises:
        Interrupted: on Ctrl-C or SIGTERM, once ``last.ckpt`` is safe.
    """
    began = time.perf_counter()
    torch.set_float32_matmul_precision("high")
    _quiet_lightning()
    with _sigterm_interrupts() as received:
        try:
            return _train(cfg, folder, resume, began)
        except (KeyboardInterrupt, SystemExit):
            raise _interruption(folder, terminated=bool(received)) from None


def _train(cfg: DictConfig, folder: RunFolder, resume: bool, began: float) -> float:
    seed_everything(cfg.seed, workers=True, verbose=False)
    head: Head = build(cfg.head)
    model: nn.Module = build(cfg.model)
    data: SpeckleDataModule = build(cfg.data)
    check_model(model, data.source.size, head.channels)
    parts = [build(node) for node in (cfg.loss, cfg.optimizer, cfg.scheduler)]
    check_pair(parts[0], head)
    if cfg.weights and not resume:
        load_weights(model, Path(cfg.weights).expanduser())
    if cfg.output_prior not in (None, "data"):
        set_output_prior(model, head, share_of_light(cfg.output_prior))
    trainer = build_trainer(cfg, folder, data.source.size)
    data.prepare_data()  # everything that can be refused without data has been
    data.setup()
    check_monitor(cfg.monitor.name, data.validation_splits)
    if cfg.output_prior == "data":
        set_output_prior(model, head, float(data.splits["train"].images().mean()))
    watch(trainer, folder, data, head)
    module = SpeckleModule(prepare_model(model, cfg), parts[0], head, parts[1], parts[2], data.validation_splits)
    log.info("Pairs: %s.", ", ".join(f"{name} {len(pairs)}" for name, pairs in data.splits.items()))
    log.info("Run folder: %s. Network: %s, %s parameters.", folder.path, _name(module), f"{_count(module):,}")
    trainer.fit(module, datamodule=data, ckpt_path=str(folder.last) if resume else None, weights_only=True)
    best = trainer.checkpoint_callback
    if not isinstance(best, ModelCheckpoint) or best.best_model_score is None:
        raise ValueError(f"nothing was trained: trainer.max_epochs = {trainer.max_epochs} left no epoch to run.")
    if trainer.is_global_zero:
        module.load_state_dict(torch.load(folder.best, map_location="cpu", weights_only=True)["state_dict"])
        scores = score(module, data, folder, trainer, began)
        for logger in trainer.loggers:
            log_summary(logger, cfg, scores)
    return float(best.best_model_score)


def prepare_model(model: nn.Module, cfg: DictConfig) -> nn.Module:
    """Lay the weights out, checkpoint activations and compile as the configuration asks."""
    if cfg.channels_last:
        model.to(memory_format=torch.channels_last)
    if cfg.activation_checkpointing:
        checkpoint_activations(model)
    if cfg.compile:
        model.compile()
    return model


def build_trainer(cfg: DictConfig, folder: RunFolder, size: int) -> Trainer:
    """The Lightning trainer with the configured callbacks and those that every run has."""
    return build(
        cfg.trainer,
        callbacks=[
            EpochSeed(cfg.seed),
            FiniteLoss(),
            Speed(),
            History(folder.history),
            *(build(node) for node in cfg.callbacks.values()),
            ModelGraph(torch.zeros(1, 1, size, size)),
            *checkpoint_callbacks(folder, cfg.monitor.name, cfg.monitor.mode),
        ],
        logger=[build(node, save_dir=str(folder.path)) for node in cfg.logger.values()],
        plugins=[AtomicCheckpoints()],
        default_root_dir=str(folder.path),
    )


def watch(trainer: Trainer, folder: RunFolder, data: SpeckleDataModule, head: Head) -> None:
    """Show the watched splits to the callbacks that draw them."""
    for callback in _of_kind(trainer, ContactSheets):
        callback.bind(folder.figures, {name: data.splits[name] for name in data.validation_splits}, data.preparation)
    for diagrams in _of_kind(trainer, ReliabilityDiagrams):
        if gives_probabilities(head):
            diagrams.bind(folder.figures, data.validation_splits)


def score(
    module: SpeckleModule, data: SpeckleDataModule, folder: RunFolder, trainer: Trainer, began: float
) -> dict[str, Scores]:
    """Score the network and the baselines on every split but ``train``; write metrics.json, pictures and the table."""
    log.info("Scoring the best epoch and the baselines.")
    predictor = Predictor(
        module.model.to(trainer.strategy.root_device),
        module.head,
        data.preparation,
        data.batch_size,
        trainer.precision_plugin.val_step_context,
    )
    facts = {
        "network": _name(module),
        "parameters": _count(module),
        "epochs": trainer.current_epoch,
        "device": _device(trainer),
        "precision": str(trainer.precision),
        "samples_per_second": _of_kind(trainer, Speed)[0].samples_per_second,
        "seconds": round(time.perf_counter() - began, 1),
    }
    files = ResultFiles(folder.metrics, folder.report, folder.figures)
    bins = next((diagrams.bins for diagrams in _of_kind(trainer, ReliabilityDiagrams)), BINS)
    cache = Path(os.environ.get("SPT_CACHE") or "~/.cache/spt").expanduser()
    result = evaluate(predictor, data.splits, files, facts, bins, cache=cache)
    log.info("TensorBoard: tensorboard --logdir %s", folder.path)
    log.info("The whole run took %.0f s on %s.", time.perf_counter() - began, facts["device"])
    return result.scores


def check_model(model: nn.Module, size: int, channels: int) -> None:
    """Run the network once on an empty image, so that a size it cannot take is refused before any data is made.

    Raises:
        ValueError: if the network refuses the size, or its logits have another shape than the head expects.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(1, 1, size, size))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"{type(model).__name__} does not run at {size}x{size} px: {error}") from error
    model.train(was_training)
    if logits.shape != (1, channels, size, size):
        raise ValueError(
            f"the network maps (1, 1, {size}, {size}) to {tuple(logits.shape)}, but the head expects "
            f"(1, {channels}, {size}, {size}). Set model.out_channels=${{head.channels}}."
        )


def check_pair(loss: nn.Module, head: Head) -> None:
    """Refuse a loss that reads the channels in another way than the head.

    Raises:
        ValueError: naming the heads that work, or the activation; a loss that declares no ``heads`` is trusted.
    """
    heads = getattr(loss, "heads", (head.name,))
    if head.name not in heads:
        raise ValueError(
            f"{type(loss).__name__} does not go with head={head.name}; it goes with head={' or head='.join(heads)}."
            if heads
            else "the parts of this loss have no head in common."
        )
    for part in loss.modules():
        reads = getattr(part, "activation", head.activation)
        if reads == "auto":
            reads = "sigmoid" if head.channels == 1 else "softmax"
        if reads in ("sigmoid", "softmax") and reads != head.activation:
            raise ValueError(
                f"{type(part).__name__} would read the logits by {reads}, head={head.name} by {head.activation}. "
                "Write activation: ${head.activation} in the loss."
            )


def share_of_light(value: float | str) -> float:
    """Read ``output_prior`` as a number.

    Raises:
        ValueError: if it is none.
    """
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"output_prior must be a number between 0 and 1, `data` or null, got {value!r}.") from None


def check_monitor(name: str, splits: list[str]) -> None:
    """Refuse a monitor that no watched split logs.

    Raises:
        ValueError: naming the splits; unseen splits are refused because choosing an epoch by them would be tuning on
            the test.
    """
    allowed = [split for split in splits if not split.endswith("_unseen")]
    if name.split("/")[0] not in allowed:
        raise ValueError(
            f"monitor.name={name} is not a value of {', '.join(allowed)}. Example: monitor.name={allowed[0]}/pcc. "
            "Unseen splits do not choose the epoch."
        )


def _quiet_lightning() -> None:
    """Keep Lightning's warnings, once; its notes on idle accelerators and paid services say nothing of the run."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
    # Raised inside Lightning on torch >= 2.12; nothing a user of spt can change.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    # Data in memory need no workers, and a continued run writes into its own checkpoint folder on purpose.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty.*")


def _name(module: SpeckleModule) -> str:
    return type(module.model).__name__


def _count(module: SpeckleModule) -> int:
    return sum(p.numel() for p in module.model.parameters())


def _of_kind(trainer: Trainer, kind: type[Kind]) -> list[Kind]:
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set at run time
    return [callback for callback in found if isinstance(callback, kind)]


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads"


def log_summary(logger: Logger, cfg: DictConfig, scores: Mapping[str, Scores]) -> None:
    """Write configuration, hyper-parameters and final scores to TensorBoard."""
    if not isinstance(logger, TensorBoardLogger):
        return
    final = {f"final/{split}/{name}": v["mean"] for split, values in scores.items() for name, v in values.items()}
    logger.experiment.add_text("config", f"```yaml\n{OmegaConf.to_yaml(cfg)}\n```")
    logger.log_hyperparams(dict(_choices(OmegaConf.to_container(cfg, resolve=True))), final)
    logger.finalize("success")


def _choices(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a person compares runs by: classes by their names, values by their paths, without the bookkeeping."""
    if not isinstance(node, dict):
        yield prefix, node if isinstance(node, bool | int | float) else str(node)
        return
    for key, value in node.items():
        if key == "_target_":
            yield prefix, value.rpartition(".")[2]
        elif key not in ("callbacks", "logger", "monitor", "run", "_partial_", "_convert_"):
            yield from _choices(value, f"{prefix}.{key}" if prefix else str(key))


@contextmanager
def _sigterm_interrupts() -> Iterator[list[int]]:
    """Turn SIGTERM into KeyboardInterrupt while the block runs, and remember that it came."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: the launcher that started it takes care of signals
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def _interruption(folder: RunFolder, terminated: bool) -> Interrupted:
    code = 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    if not folder.last.exists():
        return Interrupted("Interrupted before training began; there is nothing to continue.", code)
    again = f"python train.py run={_shown(folder.path)}"
    return Interrupted(f"Interrupted. {folder.last} holds the last finished epoch; continue with: {again}", code)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
