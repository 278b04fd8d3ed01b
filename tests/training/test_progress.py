"""The progress bar and the log in a terminal of a known width, and in a file."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, TINY, train_py
from rich.console import Console
from rich.progress import Progress

from spt.run.command import CurrentOutput
from spt.training.progress import ProgressBar

CONTROL = re.compile(r"\x1b\[[0-9;]*m")
ENDS = re.compile(r"\r\n|\r|\n|\x1b\[[0-9]*[A-K]|\x1b\[\?25[lh]")
"""What ends a line, goes to the start of one or deletes it."""


def lines(raw: str) -> list[str]:
    """Everything that was written from the start of a line to its end, with bars that were drawn again."""
    return [line for line in ENDS.split(CONTROL.sub("", raw)) if line.strip()]


def fake_trainer(**metrics: float) -> SimpleNamespace:
    values = {name.replace("__", "/"): torch.tensor(value) for name, value in metrics.items()}
    return SimpleNamespace(progress_bar_metrics=values | {"v_num": 0}, accumulate_grad_batches=2)


@pytest.mark.parametrize("width", [60, 80, 100, 110])
def test_the_bar_is_one_line_that_fits(width: int):
    bar, shown = ProgressBar(), io.StringIO()
    trainer = fake_trainer(val_seen__pcc=-0.5)
    bar.on_train_batch_end(trainer, None, {"loss": torch.tensor(12.3456 / 2)}, {}, 0)  # type: ignore[arg-type]
    assert bar.get_metrics(trainer, None) == {}  # type: ignore[arg-type]
    console = Console(file=shown, width=width, force_terminal=True)
    progress = Progress(*bar.configure_columns(trainer), console=console, auto_refresh=False)  # type: ignore[arg-type]
    bar.train_progress_bar_id = progress.add_task("Epoch 119/120", total=12345, completed=12000)
    progress.add_task("Validation", total=16)
    console.print(progress.get_renderable())
    drawn = lines(shown.getvalue())
    assert len(drawn) == 2
    assert all(len(line) <= width for line in drawn)
    assert drawn[0].rstrip().endswith("loss 12.346 PCC -0.500")
    assert drawn[0].startswith("Epoch 119/120 ━")
    assert "PCC" not in drawn[1]


def test_values_that_are_not_there_yet_are_left_out():
    bar = ProgressBar()
    assert bar.values == ""
    bar.on_train_batch_end(fake_trainer(), None, {"loss": torch.tensor(0.5)}, {}, 0)  # type: ignore[arg-type]
    assert bar.values == "loss 1.000"


def test_there_is_no_bar_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch):
    def bar_on(terminal: bool) -> ProgressBar:
        monkeypatch.setattr("spt.training.progress.get_console", lambda: SimpleNamespace(is_terminal=terminal))
        bar = ProgressBar()
        bar.enable()
        return bar

    assert bar_on(False).is_disabled
    assert bar_on(True).is_enabled


def test_the_log_follows_the_standard_output(monkeypatch: pytest.MonkeyPatch):
    handler, later = CurrentOutput(sys.stdout), io.StringIO()
    monkeypatch.setattr(sys, "stdout", later)
    assert handler.stream is later


def in_terminal(columns: int, *arguments: str) -> str:
    """What train.py writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=its, stdout=its, stderr=its, env=env | {"TERM": "xterm"})
    os.close(its)
    parts: list[bytes] = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # Linux ends the reading so when the process has closed its side
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, b"".join(parts)
    return b"".join(parts).decode()


RUN = [*TINY, "data.batch_size=1", "baseline_pairs=0", "callbacks.progress.refresh_rate=50"]
LOGGED = re.compile(r"\[\d\d:\d\d:\d\d\]")


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 100, 110])
def test_bar_and_log_never_share_a_line_of_a_terminal(width: int, tmp_path: Path):
    drawn = lines(in_terminal(width, *RUN, f"hydra.run.dir={tmp_path / 'run'}"))
    bars = [line for line in drawn if "━" in line]
    logged = [line for line in drawn if LOGGED.search(line)]
    assert [line for line in bars if len(line) > width] == []
    assert [line for line in logged if not LOGGED.match(line) or "━" in line] == []
    assert any("samples/s" in line for line in logged), "a line was logged while the bar was shown"
    assert any(re.match(r"Epoch 1/1 .* 24/24 .* loss \d\.\d+ PCC", line) for line in bars)


@pytest.mark.slow
def test_a_log_file_has_no_bar(tmp_path: Path):
    done = train_py(*RUN, f"hydra.run.dir={tmp_path / 'run'}", SPT_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0
    assert "epoch 1: train/loss" in done.stdout
    assert "━" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
