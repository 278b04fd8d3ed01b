"""How a command ends: one clear error, an exit code, nothing lost."""

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from spt.evaluation.run_folder import RunFolder

Result = TypeVar("Result")

failed_jobs: list[str] = []


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the message says what was kept and how to go on.

    Args:
        message: one line for the user.
        code: exit code, 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, message: str, code: int = 130) -> None:
        super().__init__(message)
        self.code = code


def guarded(task: Callable[[], Result]) -> Result:
    """Run a task of a command; a user's error ends in one or two lines and exit code 2.

    In a multirun the error is raised, so that the other jobs run, and listed when the program ends. With
    HYDRA_FULL_ERROR=1 the traceback is shown.
    """
    try:
        return task()
    except KeyboardInterrupt as stop:
        code = stop.code if isinstance(stop, Interrupted) else 130
        _leave(str(stop) or "Interrupted; nothing was done.", code)
    except Exception as error:
        message = explain(error)
        if message is None or os.environ.get("HYDRA_FULL_ERROR"):
            raise
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            _remember(f"{HydraConfig.get().runtime.output_dir}: {message}")
            raise CompactHydraException(message) from None
        _leave(f"Error: {message}", 2)


def _leave(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr, flush=True)
    sys.exit(code)


def _remember(line: str) -> None:
    if not failed_jobs:
        atexit.register(lambda: print("Failed jobs:", *failed_jobs, sep="\n  ", file=sys.stderr))
    failed_jobs.append(line)


def explain(error: BaseException) -> str | None:
    """Say in a line or two what a user can mend; None for a fault of the program itself."""
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, InstantiationException):
        cause = explain(error.__cause__) if error.__cause__ else None
        where = str(error).rpartition("full_key: ")[2].strip() if "full_key: " in str(error) else ""
        if isinstance(error.__cause__, TypeError):
            cause = f"{cause}. A value under {where} is of the wrong type; `python train.py --help` shows what fits."
        return f"{where}: {cause}" if cause and where else cause or str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return f"the GPU's memory is full. Lower data.batch_size or model.width. ({str(error).splitlines()[0]})"
    if isinstance(error, MisconfigurationException):
        return f"{error} Choose trainer=auto or trainer=cpu where the device asked for is missing."
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    if isinstance(error, KeyError):
        return str(error.args[0]) if error.args else "missing name"
    if isinstance(error, ValueError | TypeError | ModuleNotFoundError | OmegaConfBaseException):
        return str(error)
    return None


class OutputFolder(Callback):
    """Checks the output folder before Hydra writes into it: it can be written, and it holds no other run."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        HydraConfig.instance().set_config(config)
        path = Path(config.hydra.run.dir)
        if config.run is not None:
            if not path.is_dir():
                _leave(f"Error: run={config.run}: no such folder. Name the folder of an earlier run.", 2)
        elif RunFolder(path).last.exists():
            _leave(
                f"Error: {path} holds a run already. Continue it with run={path}, or choose another hydra.run.dir.",
                2,
            )
        _writable(path)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep."""
        if config.run is not None:
            _leave("Error: run= continues a single run and cannot be swept (-m).", 2)
        HydraConfig.instance().set_config(config)
        _writable(Path(config.hydra.sweep.dir))


def _writable(path: Path) -> None:
    probe = path / f".writable.{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        _leave(f"Error: cannot write to {path}: {error.strerror}. Choose another folder with hydra.run.dir=…", 2)
