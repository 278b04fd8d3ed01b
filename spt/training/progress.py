"""The progress bar of a training: one line that fits the terminal, and none in a log file."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text
from torch import Tensor

from spt.data.pairs import Sample
from spt.training.callbacks import loss_of

PCC = "val_seen/pcc"
"""The logged value that stands behind the bar, beside the loss."""


class ProgressBar(RichProgressBar):
    """Epoch, bar, steps, time that is left, loss and PCC; the bar takes what the terminal leaves of the line.

    Args:
        refresh_rate: updates a second; 0 hides the bar.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate)
        self.loss: Tensor | None = None
        self.pcc: Tensor | float | None = None
        if not get_console().is_terminal:
            self.disable()

    def enable(self) -> None:
        """Show the bar, where there is a terminal."""
        if get_console().is_terminal:
            super().enable()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        """Keep the loss, and move the bar."""
        self.loss = loss_of(trainer, outputs)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Keep the PCC for the bar's own column; nothing is left for Lightning's, which breaks the line."""
        self.pcc = trainer.progress_bar_metrics.get(PCC)
        return {}

    @property
    def values(self) -> str:
        """What is known of loss and PCC. They are read when the bar is drawn: a look at them waits for a GPU."""
        known = {"loss": self.loss, "PCC": self.pcc}
        return " ".join(f"{name} {float(value):.3f}" for name, value in known.items() if value is not None)

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
        """Their newest values."""
        return Text(self.bar.values if task.id == self.bar.train_progress_bar_id else "")
