"""Ctrl-C, SIGTERM and SIGUSR1: what was finished is kept, and the message says how to go on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from spt.run.command import Interrupted
from spt.run.folder import RunFolder
from spt.run.slurm import requeue

EARLY = getattr(signal, "SIGUSR1", None)
"""What SLURM's ``--signal`` is set to: it comes before the time of a job is over. Windows has no such signal."""


@contextmanager
def interruptible(folder: RunFolder) -> Iterator[None]:
    """End the block by :class:`Interrupted` on Ctrl-C, SIGTERM and SIGUSR1; after SIGUSR1 a SLURM job is queued again.

    A signal for which somebody set a handler before (a launcher that queues its jobs itself) is left to it.

    Raises:
        Interrupted: naming the checkpoint that is kept, and the command that continues.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    ours = []
    for number in (signal.SIGTERM, EARLY):
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            try:
                signal.signal(number, interrupt)
            except ValueError:  # not in the main thread: the launcher that started it takes care of signals
                break
            ours.append(number)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise  # a launcher's own; Lightning turns every KeyboardInterrupt into a SystemExit
        stopped_by = received[0] if received else signal.SIGINT
        queued = requeue() if stopped_by == EARLY else None
        raise Interrupted(_message(folder, queued), 128 + stopped_by) from None
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _message(folder: RunFolder, queued: str | None) -> str:
    if not folder.last.exists():
        kept = "Interrupted before training began; there is nothing to continue."
    else:
        again = f"python train.py run={_shown(folder.path)}"
        kept = f"Interrupted. {folder.last} holds the last finished epoch; continue with: {again}"
    return f"{kept}\n{queued}" if queued else kept


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
