"""What a finished training leaves: scores of the best epoch, pictures, a summary for TensorBoard."""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from spt.data.datamodule import SpeckleDataModule
from spt.errors import InvalidValue
from spt.evaluation import pictures, report
from spt.evaluation.baselines import fit_baselines
from spt.evaluation.logits import gives_probabilities, score_logits
from spt.evaluation.predict import predict_pairs
from spt.evaluation.reliability import score_calibration
from spt.metrics import summary
from spt.metrics.calibration import BINS
from spt.run.folder import RunFolder
from spt.training.callbacks import Speed
from spt.training.figures import ReliabilityDiagrams
from spt.training.module import SpeckleModule

if TYPE_CHECKING:
    from spt.run.train import Prepared

log = logging.getLogger(__name__)


def evaluate_best(prepared: "Prepared", module: SpeckleModule) -> float:
    trainer, folder = prepared.trainer, prepared.folder
    best = trainer.checkpoint_callback
    if not isinstance(best, ModelCheckpoint) or best.best_model_score is None:
        raise InvalidValue(f"nothing was trained: trainer.max_epochs = {trainer.max_epochs} left no epoch to run.")
    if trainer.is_global_zero:
        module.load_state_dict(torch.load(folder.best, map_location="cpu", weights_only=True)["state_dict"])
        scores = judge(module, prepared.parts.data, folder, trainer, prepared.began)
        for logger in trainer.loggers:
            log_summary(logger, prepared.config, scores)
    return float(best.best_model_score)


def judge(
    module: SpeckleModule, data: SpeckleDataModule, folder: RunFolder, trainer: Trainer, began: float
) -> dict[str, report.Scores]:
    """Score the network and the baselines on every split but ``train``; write metrics.json, pictures and the table."""
    log.info("Judging the best epoch beside the baselines.")
    device = trainer.strategy.root_device
    module.eval().to(device)
    fitted = fit_baselines(data.splits["train"], data.preparation)
    bins = next((diagrams.bins for diagrams in _of_kind(trainer, ReliabilityDiagrams)), BINS)
    scores, baselines = {}, {}
    for name, pairs in data.splits.items():
        if name == "train":
            continue
        pred = predict_pairs(module, pairs, data.preparation, data.batch_size, device)
        scores[name] = report.score(pred, pairs.images())
        more = score_logits(module.model, module.head, pairs, data.preparation, data.batch_size, device)
        scores[name] |= {metric: summary(values) for metric, values in more.items()}
        if gives_probabilities(module.head):
            title, path = f"{name}: {_name(module)}, {len(pairs)} images", folder.figures / f"{name}_reliability.png"
            scores[name]["ece"] = score_calibration(pred, pairs.images(), bins, title, path)
        baselines[name] = report.score_baselines(fitted, pairs)
        chosen = pictures.evenly(len(pairs), 16)
        title = f"{name}: {_name(module)}, PCC {scores[name]['pcc']['mean']:.3f} (mean of {len(pairs)} images)"
        sheet = pictures.contact_sheet(pairs.speckle[chosen], pred[chosen], pairs.images()[chosen], title)
        pictures.save(sheet, folder.figures / f"{name}.png")
    run = {
        "network": _name(module),
        "parameters": _count(module),
        "epochs": trainer.current_epoch,
        "device": _device(trainer),
        "precision": str(trainer.precision),
        "samples_per_second": _of_kind(trainer, Speed)[0].samples_per_second,
        "seconds": round(time.perf_counter() - began, 1),
    }
    report.write_metrics(folder.metrics, {**scores, "baselines": baselines, "run": run})
    report.print_table(_name(module), scores, baselines)
    pooled = " (ECE: of all pixels of a split)" if gives_probabilities(module.head) else ""
    note = (
        f"Mean over images ± standard error{pooled}. {run['parameters']:,} parameters, {run['epochs']} epochs, "
        f"{run['seconds']:.0f} s on {run['device']}, {run['precision']}."
    )
    report.write_markdown(folder.report, _name(module), scores, baselines, note)
    log.info("Pictures: %s", ", ".join(str(folder.figures / f"{name}.png") for name in scores))
    log.info("Scores: %s, %s. TensorBoard: tensorboard --logdir %s", folder.metrics, folder.report, folder.path)
    log.info("The whole run took %.0f s on %s.", run["seconds"], run["device"])
    return scores


def _name(module: SpeckleModule) -> str:
    return type(module.model).__name__


def _count(module: SpeckleModule) -> int:
    return sum(p.numel() for p in module.model.parameters())


def _of_kind(trainer, kind):
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads"


def log_summary(logger: Logger, cfg: DictConfig, scores: Mapping[str, report.Scores]) -> None:
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
