"""The verb train: from a configuration to a trained network, its scores and its pictures."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Callback, Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

from spt.data.exchanged import exchanged
from spt.data.leaks import check_choice, check_leaks, check_simulated_objects
from spt.data.unusable import refuse_unusable
from spt.errors import InvalidValue
from spt.optics.twin import save_twin
from spt.run.building import build
from spt.run.environment import note_start
from spt.run.folder import RunFolder
from spt.run.interruption import interruptible
from spt.run.parts import Parts, build_parts
from spt.run.results import evaluate_best
from spt.run.settings import TrainConfig
from spt.training.figures import ContactSheets, ReliabilityDiagrams
from spt.training.initial import load_weights, read_checkpoint, set_output_prior
from spt.training.loggers import close
from spt.training.memory import checkpoint_activations
from spt.training.module import SpeckleModule
from spt.training.monitor import check_monitor, monitored_names
from spt.training.seeding import seed_everything
from spt.training.trainer import callbacks_of, check_trainer, log_every_epoch, quiet_lightning, trainer_arguments

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to begin: everything that can be refused without data was not."""

    config: DictConfig
    folder: RunFolder
    parts: Parts
    trainer: Trainer
    began: float

    def check_continuation(self) -> None:
        """Refuse settings that the run's own checkpoint does not go on with; nothing is written before.

        Raises:
            UserError: if its weights do not fit the network, or no epoch is left.
        """
        saved = load_weights(self.parts.model, self.folder.last)
        done, planned = finished_epochs(saved), self.trainer.max_epochs
        if planned is not None and 0 <= planned < done:
            raise InvalidValue(f"this run has trained {done} epochs; trainer.max_epochs={planned} is less. Use more.")


def train(config: DictConfig, folder: RunFolder, callbacks: Sequence[Callback] = ()) -> float:
    """Train, then evaluate the best epoch and the baselines.

    Args:
        config: the composed configuration.
        folder: where everything of this run is written.
        callbacks: of the trainer, beside the configured ones.
    Returns:
        The best value of ``config.monitor``.
    Raises:
        UserError: if something does not work; most of it before data are made.
        Interrupted: on Ctrl-C or SIGTERM, once ``last.ckpt`` is safe.
    """
    with interruptible(folder):
        return fit_and_evaluate(prepare(config, folder, new=True, callbacks=callbacks), resumed=False)


def resume(prepared: Prepared) -> float:
    """Go on from ``last.ckpt``; as :func:`train`."""
    with interruptible(prepared.folder):
        return fit_and_evaluate(prepared, resumed=True)


def prepare(config: DictConfig, folder: RunFolder, new: bool = False, callbacks: Sequence[Callback] = ()) -> Prepared:
    """Build and check everything but the data.

    Args:
        config: the composed configuration.
        folder: where everything of this run is written.
        new: whether the network starts from ``weights`` and ``output_prior``.
        callbacks: of the trainer, beside the configured ones.
    Raises:
        UserError: naming the first setting that does not work.
    """
    began = time.perf_counter()
    torch.set_float32_matmul_precision("high")
    quiet_lightning()
    check_names(config)
    for name in ("seed", "baseline_pairs"):
        if config[name] < 0:
            raise InvalidValue(f"{name} must be 0 or more, got {config[name]}.")
    seed_everything(config.seed)
    check_choice(config.leaks)
    parts = build_parts(config, new)
    trainer = build_trainer(config, folder, parts.data.input_shape, callbacks)
    sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    check_trainer(trainer, config.trainer, sweep)
    return Prepared(config, folder, parts, trainer, began)


def check_names(config: DictConfig) -> None:
    """Refuse what was added with ``+`` and is no option: nothing would read it.

    Raises:
        InvalidValue: naming the first of them.
    """
    known = [each.name for each in fields(TrainConfig)]
    for name in map(str, config):
        if name not in known:
            raise InvalidValue(f"+{name}: there is no such option. Options stand in {', '.join(known)}.")


def fit_and_evaluate(prepared: Prepared, resumed: bool) -> float:
    """Make the data, train the network, evaluate its best epoch."""
    try:
        return _fit_and_evaluate(prepared, resumed)
    finally:
        close(prepared.trainer.loggers)


def _fit_and_evaluate(prepared: Prepared, resumed: bool) -> float:
    splits = load_data(prepared)
    if resumed:
        check_same_pairs(prepared)
    module = connect(prepared, splits)
    if prepared.trainer.is_global_zero:
        note_start(prepared.folder, OmegaConf.to_yaml(prepared.config))
        keep_twin(prepared)
    log_every_epoch(prepared.trainer, len(prepared.parts.data.train_dataloader()) // prepared.trainer.world_size)
    resume_from = str(prepared.folder.last) if resumed else None
    prepared.trainer.fit(module, datamodule=prepared.parts.data, ckpt_path=resume_from, weights_only=True)
    return evaluate_best(prepared.config, prepared.folder, prepared.parts, prepared.trainer, prepared.began)


def load_data(prepared: Prepared) -> list[str]:
    """Make and read the data; return the splits that validation watches.

    Raises:
        UserError: if they cannot be made, an image is unusable, their splits share pairs or objects, or the
            monitored value is of none of these splits.
    """
    data, config, folder = prepared.parts.data, prepared.config, prepared.folder
    if data.twin is not None and folder.last.is_file() and folder.twin.is_file():
        data.twin.file = str(folder.twin)  # a run goes on with the twin that it began with
    data.prepare_data()
    data.setup()
    if data.source.recorded:
        check_leaks(data.splits, config.leaks, partial(refuse_unusable, preparation=data.preparation))
        if said := exchanged(data.splits["train"]):
            log.warning("%s", said)
    if data.simulated is not None:
        check_simulated_objects(data.simulated.simulated.drawn, data.splits, config.leaks)
    splits, head = data.validation_splits, prepared.parts.head
    calibrated = head.gives_probabilities and bool(callbacks_of(prepared.trainer, ReliabilityDiagrams))
    check_monitor(config.monitor.name, monitored_names(splits, head, calibrated))
    log.info("Pairs: %s.", ", ".join(f"{name} {len(pairs)}" for name, pairs in data.splits.items()))
    described = data.preparation.describe(data.source.frame_size, data.object_size)
    log.info("Speckle: %s. Image: %dx%d px.", described, *data.object_size)
    return splits


def keep_twin(prepared: Prepared) -> None:
    """Write the twin of a run that begins into its folder, over one that a refused run left there."""
    simulated, folder = prepared.parts.data.simulated, prepared.folder
    if simulated is not None and not (folder.last.is_file() and folder.twin.is_file()):
        save_twin(folder.twin, simulated.fitted)


def check_same_pairs(prepared: Prepared) -> None:
    """Refuse to go on with other pairs in a split: an object that trained could now choose the epoch.

    Raises:
        InvalidValue: naming the splits that differ.
    """
    data, before = prepared.parts.data, read_checkpoint(prepared.folder.last).get("pairs", {})
    other = [name for name, pairs in data.splits.items() if before and before.get(name) != pairs.identity]
    if data.source.recorded and other:
        raise InvalidValue(
            f"the pairs of {', '.join(other)} are not those that this run began with: files were added, removed or "
            "renamed, or the split was changed. Restore them, or start a new run, with weights=<checkpoint>."
        )


def connect(prepared: Prepared, splits: list[str]) -> SpeckleModule:
    """Join the parts to the module that Lightning trains, and show the data to the callbacks that draw them."""
    config, parts, folder = prepared.config, prepared.parts, prepared.folder
    data = parts.data
    if config.output_prior == "data" and not folder.last.exists():
        set_output_prior(parts.model, parts.head, float(data.splits["train"].images().mean()))
    for sheets in callbacks_of(prepared.trainer, ContactSheets):
        sheets.bind(folder.figures, {name: data.splits[name] for name in splits}, prepared.trainer.world_size)
    for diagrams in callbacks_of(prepared.trainer, ReliabilityDiagrams):
        if parts.head.gives_probabilities:
            diagrams.bind(folder.figures, splits)
    model = prepare_model(parts.model, config)
    parameters = sum(p.numel() for p in model.parameters())
    log.info("Run folder: %s. Network: %s, %s parameters.", folder.path, type(model).__name__, f"{parameters:,}")
    return SpeckleModule(
        model,
        parts.loss,
        parts.head,
        parts.optimizer,
        parts.scheduler,
        splits,
        data.object_size,
        data.facts(),
    )


def prepare_model(model: nn.Module, config: DictConfig) -> nn.Module:
    """Lay the weights out, checkpoint activations and compile as the configuration asks."""
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    if config.activation_checkpointing:
        checkpoint_activations(model)
    if config.compile:
        model.compile()
    return model


def build_trainer(
    config: DictConfig, folder: RunFolder, shape: tuple[int, int, int], callbacks: Sequence[Callback] = ()
) -> Trainer:
    """The configured trainer, with the configured callbacks and loggers and those that every run has.

    Raises:
        InvalidValue: if the device that is asked for is missing, or Lightning refuses a value.
    """
    accelerator = config.trainer.accelerator
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise InvalidValue(
            f"trainer.accelerator={accelerator}, but no GPU was found. Choose trainer=auto or trainer=cpu."
        )
    return build(
        config.trainer,
        **trainer_arguments(
            folder.path,
            folder.best,
            folder.last,
            folder.history,
            config.monitor.name,
            config.seed,
            shape,
            [*(build(node) for node in (config.callbacks or {}).values()), *callbacks],
            [build(node, save_dir=str(folder.path)) for node in (config.logger or {}).values()],
        ),
    )


def finished_epochs(checkpoint: Mapping[str, Any]) -> int:
    """Epochs that a ``last.ckpt`` has behind it."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
    return int(progress["current"]["processed"])
