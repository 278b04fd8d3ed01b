"""What the loggers show of a finished training: final scores, pictures, and what runs are compared by."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from spt.evaluation.compare.varied import is_compared
from spt.evaluation.score_table import MAIN
from spt.evaluation.scores import Scores
from spt.run.event_file import red_green_blue
from spt.run.folder import RunFolder
from spt.run.records import read_choices
from spt.training.loggers import show_picture

FIRST = ("model", "loss", "data", "optimizer.lr", "data.batch_size", "seed")
"""What people compare runs by; these stand first."""


def log_final(
    loggers: Sequence[Logger],
    config: DictConfig,
    folder: RunFolder,
    scores: Mapping[str, Scores],
    drawn: Mapping[str, Path],
    step: int,
) -> None:
    """Show the result of a training in every logger, as far as it can.

    Args:
        loggers: of the trainer.
        config: of the run.
        folder: of the run.
        scores: split to final scores.
        drawn: name to file of the final pictures.
        step: the last optimizer step.
    """
    for name, path in drawn.items():
        show_picture(loggers, f"final/{name}", red_green_blue(path), step)
    final, compared = final_scores(scores), hyperparameters(config, folder)
    main = [name for name in final if name.rpartition("/")[2] in MAIN]
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text("config", f"```yaml\n{OmegaConf.to_yaml(config)}\n```", step)
            _add_table(logger.experiment, compared, main)
        else:
            logger.log_hyperparams(compared)
        logger.log_metrics(final, step)
        logger.finalize("success")


def _add_table(writer: SummaryWriter, compared: Mapping[str, Any], scores: Sequence[str]) -> None:
    """Add a row to TensorBoard's table of runs.

    TensorBoard sorts the settings: first those that are marked as differing between runs, then by name. It shows the
    first five settings and the first five scores.
    """
    table, *ends = hparams(dict(compared), dict.fromkeys(scores, 0))
    stored = table.value[0].metadata.plugin_data
    held = HParamsPluginData.FromString(stored.content)
    for info in held.experiment.hparam_infos:
        info.differs = info.name in FIRST
    stored.content = held.SerializeToString()
    for part in (table, *ends):
        writer._get_file_writer().add_summary(part)


def final_scores(scores: Mapping[str, Scores]) -> dict[str, float]:
    """``final/<split>/<metric>`` to mean; first the main metrics, and of each the splits that chose nothing."""
    splits = sorted(scores, key=lambda split: not split.startswith("test_"))
    metrics = dict.fromkeys([*MAIN, *(name for split in splits for name in scores[split])])
    means = {
        f"final/{split}/{metric}": scores[split][metric]["mean"]
        for metric in metrics
        for split in splits
        if metric in scores[split]
    }
    return {name: mean for name, mean in means.items() if mean is not None}


def hyperparameters(config: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """What runs are compared by: :data:`FIRST`, then what else was set on the command line; paths are left out."""
    choices = read_choices(folder.choices)
    names = dict.fromkeys([*FIRST, *_overridden(folder, choices)])
    found = {name: choices[name] if name in choices else _value(config, name) for name in names}
    return {name: value for name, value in found.items() if not (isinstance(value, str) and "/" in value)}


def _overridden(folder: RunFolder, choices: Mapping[str, str]) -> Iterator[str]:
    """Names on the command line that may change a score."""
    if not folder.overrides.is_file():
        return
    lines = OmegaConf.to_object(OmegaConf.load(folder.overrides))
    assert isinstance(lines, list)
    for change in OverridesParser.create().parse_overrides(lines):
        name = f"{change.key_or_group}@{change.package}" if change.package else change.key_or_group
        if name != "trainer" and is_compared(name) and not (change.is_delete() and name not in choices):
            yield name


def _value(config: DictConfig, name: str) -> bool | int | float | str:
    """A setting as loggers take it; of a part the name of its class."""
    value = OmegaConf.select(config, name)
    if isinstance(value, DictConfig):
        value = OmegaConf.select(value, "_target_") or name
        return str(value).rpartition(".")[2]
    return value if isinstance(value, bool | int | float) else "null" if value is None else str(value)
