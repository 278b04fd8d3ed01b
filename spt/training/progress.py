"""The progress bar of a training: one line that fits the terminal, and none in a log file."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

SHOWN = {"train/loss_step": "loss", "val_seen/pcc": "PCC"}
"""Logged values that stand behind the bar, and what they are called there."""


class ProgressBar(RichProgressBar):
    """Epoch, bar, steps, time that is left, loss and PCC; the bar takes what the terminal leaves of the line.

    Args:
        refresh_rate: updates a second; 0 hides the bar.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate)
        self.values = ""
        if not get_console().is_terminal:
            self.disable()

    def enable(self) -> None:
        """Show the bar, where there is a terminal."""
        if get_console().is_terminal:
            super().enable()

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Keep the values for the bar's own column; nothing is left for Lightning's, which breaks the line."""
        known = trainer.progress_bar_metrics
        self.values = " ".join(f"{name} {float(known[key]):.3f}" for key, name in SHOWN.items() if key in known)
        return {}

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        """What stands in the line."""
        return [
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            Values(self),
        ]


class Values(ProgressColumn):
    """Loss and PCC behind the bar of the training, none behind that of the validation."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """The text that the bar was given last."""
        return Text(self.bar.values if task.id == self.bar.train_progress_bar_id else "")
