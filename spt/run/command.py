"""How a command ends: one clear error, an exit code, nothing lost."""

import logging
import os
import shutil
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from spt.errors import UserError
from spt.files import check_writable
from spt.run.folder import RunFolder
from spt.run.slurm import is_requeued

Result = TypeVar("Result")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the message says what was kept and how to go on.

    Args:
        message: one line for the user.
        code: exit code, 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, message: str, code: int = 130) -> None:
        super().__init__(message)
        self.code = code


def guarded(task: Callable[[], Result], new: RunFolder | None = None) -> Result:
    """Run a task of a command; an error of its user ends in one or two lines and exit code 2.

    In a multirun the error is written into the job's folder and raised, so that the other jobs run. It is listed when
    the program ends. With HYDRA_FULL_ERROR=1 the traceback is shown.

    Args:
        task: what the command does.
        new: folder of a run that this command begins. It is removed where the run is refused before its training.
    """
    try:
        return task()
    except KeyboardInterrupt as stop:
        code = stop.code if isinstance(stop, Interrupted) else 130
        _leave(str(stop) or "Interrupted; nothing was done.", code)
    except Exception as error:
        message, job = explain(error), _job_of_a_sweep()
        if job is not None:
            said = message or f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]} (traceback above)"
            job.error.write_text(f"{said}\n", encoding="utf-8")
        if message is None or os.environ.get("HYDRA_FULL_ERROR"):
            raise
        if job is not None:
            raise CompactHydraException(message) from None
        if new is not None:
            _remove_unless_begun(new)
        _leave(f"Error: {message}", 2)


def _remove_unless_begun(folder: RunFolder) -> None:
    """Remove the configuration and the log of a run whose training did not begin, and its folders if empty."""
    if folder.environment.is_file() or folder.checkpoints.is_dir():
        return
    shutil.rmtree(folder.config.parent, ignore_errors=True)
    (folder.path / "train.log").unlink(missing_ok=True)
    day = [folder.path.parent] if folder.path.parent.parent.name == "outputs" else []
    for empty in (folder.path, *day):
        if not any(empty.iterdir()):
            empty.rmdir()


def _job_of_a_sweep() -> RunFolder | None:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return RunFolder(Path(HydraConfig.get().runtime.output_dir))


def _leave(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr, flush=True)
    sys.exit(code)


def explain(error: BaseException) -> str | None:
    """Say in a line or two what a user can mend; None for a fault of a program, whose traceback helps more."""
    if isinstance(error, UserError | OmegaConfBaseException):
        return str(error)
    if isinstance(error, OSError) and not passes_foreign_code(error):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    torch, lightning = (sys.modules.get(name) for name in ("torch", "lightning.fabric.utilities.exceptions"))
    if torch and isinstance(error, torch.OutOfMemoryError):
        return f"the GPU's memory is full. Lower data.batch_size or model.width. ({str(error).splitlines()[0]})"
    if lightning and isinstance(error, lightning.MisconfigurationException):
        return str(error)
    return None


def passes_foreign_code(error: BaseException) -> bool:
    """Whether the error came through code that is neither spt nor an installed package: a network of one's own, say."""
    project = Path(__file__).parents[2]
    known = [project / "spt", project / "scripts", project / "train.py"]
    known += [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    return any(file.is_file() and not any(file.is_relative_to(place) for place in known) for file in files)


class CurrentOutput(logging.StreamHandler):
    """Writes the log to what is the standard output now: a progress bar that is shown puts the line above itself.

    Args:
        stream: not used; Hydra's logging names the standard output of the start here.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """The standard output."""
        return sys.stdout


class OutputFolder(Callback):
    """Checks the output folder before Hydra writes into it: it can be written, and it holds no other run."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        HydraConfig.instance().set_config(config)
        path = Path(config.hydra.run.dir)
        if RunFolder(path).last.exists() and not (_is_later_process() or is_requeued()):
            _leave(
                f"Error: {path} holds a run already. Continue it with run='{path}', or choose another hydra.run.dir.",
                2,
            )
        _writable(path)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep; at its end :func:`say_what_came_out` prints scores and failures."""
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra.sweep.dir)
        _writable(folder)
        _sweeps.append(folder)


_sweeps: list[Path] = []
"""Folders of the sweeps of this process whose table was not printed yet."""


def say_what_came_out() -> None:
    """Print the table of the sweep of this process, if there was one, and why jobs failed."""
    while _sweeps:
        from spt.run.sweep_jobs import summary

        summary(_sweeps.pop())


def _is_later_process() -> bool:
    """Whether a launcher started this process as one of several, and another one opened the folder."""
    return any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def _writable(path: Path) -> None:
    """Leave where a folder cannot be written."""
    try:
        check_writable(path, "folder with hydra.run.dir=…")
    except UserError as error:
        _leave(f"Error: {error}", 2)
