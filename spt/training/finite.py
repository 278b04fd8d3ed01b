"""A run that turns into NaN is stopped, with the place named, before a checkpoint is poisoned."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from spt.data.pairs import Sample
from spt.errors import InvalidValue

REMEDY = "Lower optimizer.lr or set trainer.precision=32-true, then continue with run=<folder>."


class FiniteTraining(Callback):
    """Stops a run whose loss, weights or validation values are NaN or infinite.

    On a GPU the loss is looked at every ``every`` steps alone: a look waits for the device. The step that is named is
    the first bad one all the same.

    Args:
        last: the checkpoint that is kept: it is written after every epoch, behind these checks.
        every: steps between two looks on a GPU.
    """

    def __init__(self, last: Path, every: int = 50) -> None:
        self.last, self.every = last, every
        self._steps: list[tuple[int, Tensor, Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Sample, batch_idx: int
    ) -> None:
        """Remember the loss; look at it at once on a CPU."""
        self._steps.append((trainer.global_step, outputs["loss"].detach(), batch["index"]))
        if pl_module.device.type == "cpu" or len(self._steps) >= self.every:
            self._look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the losses since the last look, then at the weights that are validated.

        Raises:
            InvalidValue: naming epoch and step, or the first weight that is not finite.
        """
        self._look(trainer)
        self._check_weights(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what was logged, before the best epoch is chosen by it.

        Raises:
            InvalidValue: naming the value.
        """
        values = {name: value for name, value in trainer.callback_metrics.items() if not name.startswith("train/")}
        bad = [name for name, value in values.items() if not torch.isfinite(torch.as_tensor(value))]
        if bad:
            value, epoch = float(values[bad[0]]), trainer.current_epoch
            raise InvalidValue(f"validation after epoch {epoch} gave {bad[0]} = {value}. {self._kept()}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look again where the epoch was not validated: ``last.ckpt`` is written next."""
        self._look(trainer)
        self._check_weights(trainer, pl_module)

    def _look(self, trainer: Trainer) -> None:
        steps, self._steps = self._steps, []
        if not steps or bool(torch.stack([loss for _, loss, _ in steps]).isfinite().all()):
            return
        step, loss, samples = next((step, loss, index) for step, loss, index in steps if not loss.isfinite())
        raise InvalidValue(
            f"the loss became {loss.item()} in epoch {trainer.current_epoch}, step {step}, on samples "
            f"{samples.tolist()} of train. {self._kept()}"
        )

    def _check_weights(self, trainer: Trainer, pl_module: LightningModule) -> None:
        tensors = {n: t for n, t in pl_module.state_dict().items() if t.is_floating_point() and t.numel()}
        if bool(torch.stack([t.isfinite().all() for t in tensors.values()]).all()):
            return
        name = next(name for name, tensor in tensors.items() if not tensor.isfinite().all())
        raise InvalidValue(f"{name} is no longer finite after epoch {trainer.current_epoch}. {self._kept()}")

    def _kept(self) -> str:
        return f"{self.last} holds the last epoch before. {REMEDY}"
