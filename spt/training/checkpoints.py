"""Checkpoints that survive whatever ends a run."""

import io
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from spt.files import atomic


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoint files are whole or absent: written to a temporary file, synchronised, then renamed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write one checkpoint."""
        # Through memory: on a full disk torch's own file writer raises a RuntimeError that does not say so.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with atomic(Path(path)) as part:
            part.write_bytes(buffer.getbuffer())


class FirstCheckpoint(Callback):
    """Writes ``last.ckpt`` before the first step, so that even a run stopped in its first epoch can be continued."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoint of a run that has none."""
        if not trainer.strategy.broadcast(self.path.exists()):
            trainer.save_checkpoint(self.path)


class MovableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that keeps its best score when the run folder was moved or copied.

    Lightning forgets the score where the folder's path has changed, and would then replace ``best.ckpt`` by a worse
    epoch. It is written after epochs and validations alone, so that it has nothing to do in a step.
    """

    @cached_property
    def state_key(self) -> str:
        """What the callback's state is called in a checkpoint; Lightning asks for it at every hook of every step."""
        return super().state_key

    def on_train_batch_end(self, *args: Any) -> None:
        """Nothing."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state with every path inside this run's own folder."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved = {name: here(path) if name.endswith("_path") else path for name, path in state_dict.items()}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**moved, "dirpath": self.dirpath, "best_k_models": best})


def checkpoint_callbacks(best: Path, last: Path, monitor: str, mode: str) -> list[Callback]:
    """``best`` after every validation that improves the monitored value, ``last`` after every epoch."""
    chosen = MovableCheckpoint(
        best.parent, best.stem, monitor=monitor, mode=mode, save_on_train_epoch_end=False, enable_version_counter=False
    )
    newest = MovableCheckpoint(
        last.parent, last.stem, every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    return [FirstCheckpoint(last), chosen, newest]
