"""An earlier run, named by ``run=<folder>``: its own configuration goes on, with single values changed.

Hydra is not asked: it would compose another configuration, and could not name what only this run's has.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from spt.errors import InvalidValue, MissingFile
from spt.files import atomic
from spt.run.command import CurrentOutput
from spt.run.folder import RunFolder
from spt.run.saved_config import read_saved
from spt.run.settings import TrainConfig
from spt.run.trust import trusted

log = logging.getLogger(__name__)

PATHS = ("path", "root")
"""Settings of a data source that name files: relative ones are meant from where the run was started."""


def named_run(arguments: Sequence[str]) -> Path | None:
    """The folder behind ``run=``; None where there is none, or where Hydra is asked for help."""
    if any(argument in ("-h", "--help", "--hydra-help", "--version") for argument in arguments):
        return None
    named = [argument.removeprefix("run=") for argument in arguments if argument.startswith("run=")]
    return Path(named[-1].strip("'\"")).expanduser() if named and named[-1] not in ("", "null") else None


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """Write what Hydra's grammar does not read in a way that it does.

    Values that hold an equals sign, such as a folder of a sweep, are quoted. ``logger=null`` and ``callbacks=null``
    become ``~logger`` and ``~callbacks``.
    """

    def one(argument: str) -> str:
        key, _, value = argument.partition("=")
        if key in ("logger", "callbacks") and value == "null":
            return f"~{key}"
        if argument.startswith("-") or "=" not in value or any(c in value for c in "'\"({[$"):
            return argument
        return f"{key}='{value}'"

    return [one(argument) for argument in arguments]


def own_changes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments for Hydra, and overrides of the data of an earlier run: those of ``data.`` where no set is chosen."""
    if any(argument.startswith("data=") for argument in arguments):
        return list(arguments), []
    changes = [argument for argument in arguments if argument.startswith("data.")]
    return [argument for argument in arguments if argument not in changes], changes


FIXED = ("monitor", "data.preparation", "data.source.split", "data.twin")
"""Beginnings of the names that a continued run keeps."""


def continue_run(arguments: Sequence[str]) -> None:
    """Go on with a run where its ``last.ckpt`` stopped; of one that is finished, say what it came to.

    An override is written into the run's configuration only once everything was built with it and the weights fit.
    A finished run is scored again only where another number of pairs is set for the baselines.

    Args:
        arguments: of the command line: ``run=<folder>`` and overrides of single values.
    Raises:
        MissingFile: if the folder is no run that can be continued.
        InvalidValue: if an argument is no override of a single value of this run, or does not work.
    """
    named = named_run(arguments)
    assert named is not None
    folder = RunFolder(named.resolve())
    overrides = [argument for argument in arguments if not argument.startswith("run=")]
    saved = read_config(folder)
    changed = override(saved, overrides)
    config = trusted(anchored(changed, folder))
    _log_to(folder.path / "train.log")

    from spt.run.finished import said_if_finished
    from spt.run.train import prepare, resume

    prepared = prepare(config, folder)
    prepared.check_continuation()
    score_again = config.baseline_pairs not in (0, saved.baseline_pairs)
    if not score_again and (said := said_if_finished(prepared)):
        log.info("%s", said)
        return
    if overrides:
        with atomic(folder.config) as part:
            OmegaConf.save(changed, part)
        log.info("Changed for the rest of this run: %s.", " ".join(overrides))
    resume(prepared)


def read_config(folder: RunFolder) -> DictConfig:
    """The configuration of a run that can be continued, typed; nothing in it is resolved or built.

    Raises:
        MissingFile: if the folder is no run.
        InvalidValue: if its configuration is of another version of spt.
    """
    for needed in (folder.config, folder.last):
        if not needed.is_file():
            raise MissingFile(f"run={folder.path} is not a run that can be continued: {needed} is not there.")
    saved = read_saved(folder.config, needed=())
    try:
        config = OmegaConf.merge(OmegaConf.structured(TrainConfig), saved)
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise InvalidValue(
            f"{folder.config} is no configuration of this version of spt: {_first_line(error)}. Train again."
        ) from error
    assert isinstance(config, DictConfig)
    return config


def override(saved: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return a copy with single values changed.

    Raises:
        InvalidValue: if an argument is no override, or what it changes is no single value of the configuration.
    """
    config: DictConfig = saved.copy()
    for argument in overrides:
        if argument.startswith("-"):
            raise InvalidValue(f"{argument}: run= continues a single run. It takes overrides of its values alone.")
        change = _parsed(argument)
        key = change.key_or_group
        single = not (change.is_delete() or change.is_add() or change.package or change.is_sweep_override())
        if not single or not _has(config, key) or isinstance(OmegaConf.select(config, key), DictConfig):
            raise InvalidValue(
                f"{argument}: a continued run keeps its configuration files. Only single values that it has can be "
                "changed, for example trainer.max_epochs=20."
            )
        if key.endswith("_target_") or key.startswith(FIXED):
            raise InvalidValue(
                f"{argument}: {key} decides what the network was trained on or what the checkpoints hold. Start a new "
                "run to change it; weights=<checkpoint> lets it begin with these weights."
            )
        value: Any = change.value()
        if key.rpartition(".")[2] in PATHS and isinstance(value, str):
            value = str(Path(value).expanduser().absolute())
        try:
            OmegaConf.update(config, key, value)
        except OmegaConfBaseException as error:
            raise InvalidValue(f"{argument}: {_first_line(error)}.") from error
    return config


def _parsed(argument: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides(for_hydra([argument]))[0]
    except HydraException as error:
        raise InvalidValue(f"{argument} cannot be read: {_first_line(error)}.") from error


def _has(config: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and leaf in node


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _started_in(folder: RunFolder) -> Path:
    """Where the run was started, as Hydra recorded it; here, where it did not."""
    record = OmegaConf.load(folder.choices) if folder.choices.is_file() else OmegaConf.create()
    return Path(OmegaConf.select(record, "hydra.runtime.cwd") or Path.cwd())


def anchored(config: DictConfig, folder: RunFolder) -> DictConfig:
    """Return a copy whose relative paths of data begin where the run was started."""
    config = config.copy()
    _anchor(config.data, _started_in(folder))
    return config


def _anchor(node: Any, start: Path) -> None:
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
            continue
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            _anchor(value, start)
        elif key in PATHS and isinstance(value, str) and not Path(value).expanduser().is_absolute():
            node[key] = str(start / value)


def _log_to(path: Path) -> None:
    """Log as Hydra does for a new run: to the terminal and into the run's own file."""
    logging.root.setLevel(logging.INFO)
    for handler in (CurrentOutput(), logging.FileHandler(path, encoding="utf-8")):
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", datefmt="%H:%M:%S"))
        logging.root.addHandler(handler)
