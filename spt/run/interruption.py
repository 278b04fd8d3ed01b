"""Ctrl-C and SIGTERM: what was finished is kept, and the message says how to go on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from spt.run.command import Interrupted
from spt.run.folder import RunFolder


@contextmanager
def interruptible(folder: RunFolder) -> Iterator[None]:
    """End the block by :class:`Interrupted` on Ctrl-C and SIGTERM.

    Raises:
        Interrupted: naming the checkpoint that is kept, and the command that continues.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: the launcher that started it takes care of signals
        before = None
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        code = 128 + (received[0] if received else signal.SIGINT)
        raise Interrupted(_message(folder), code) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _message(folder: RunFolder) -> str:
    if not folder.last.exists():
        return "Interrupted before training began; there is nothing to continue."
    again = f"python train.py run={_shown(folder.path)}"
    return f"Interrupted. {folder.last} holds the last finished epoch; continue with: {again}"


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
