"""What the optimizer is told: which parameters decay, and how the learning rate runs."""

import math
import warnings
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from spt.errors import InvalidValue


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """The network's own ``parameter_groups()`` where it has them, else kernels with decay, biases and norms without.

    Source: Loshchilov & Hutter (2019) for the decay; leaving out vectors as in timm and nanoGPT. Differs: nothing.
    """
    own = getattr(model, "parameter_groups", None)
    if own is not None:
        return own()
    parameters = [p for p in model.parameters() if p.requires_grad]
    kernels, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    return [{"params": kernels}, {"params": vectors, "weight_decay": 0.0}]


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to ``final`` times the learning rate.

    Args:
        optimizer: whose learning rate is the peak.
        total_steps: steps of the whole training.
        warmup: share of the steps spent warming up, in [0, 1).
        final: last learning rate over the peak, in [0, 1].
    Raises:
        ValueError: if a share is out of range.
    Source: Loshchilov & Hutter, SGDR (2017), eq. (5), without restarts. Differs: the warm-up.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, final: float = 0.0) -> None:
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise InvalidValue(f"scheduler needs 0 <= warmup < 1 and 0 <= final <= 1, got {warmup} and {final}.")
        rise = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            along = min(1.0, (step - rise) / max(1, total_steps - rise))
            return final + (1 - final) * (1 + math.cos(math.pi * along)) / 2

        super().__init__(optimizer, factor)


class Constant(LambdaLR):
    """The learning rate as it is."""

    def __init__(self, optimizer: Optimizer, total_steps: int) -> None:
        super().__init__(optimizer, lambda step: 1.0)


class ConfiguredSchedule(Callback):
    """Gives a continued run the optimizer's settings and the schedule of its configuration.

    A checkpoint restores those it was written with, which would undo ``optimizer.lr=…`` or a longer
    ``trainer.max_epochs``. An unchanged configuration gives the same numbers as the checkpoint.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set every group as configured, then bring a new schedule to the step that was reached."""
        if trainer.global_step == 0:
            return
        for group, configured in zip(trainer.optimizers[0].param_groups, pl_module.configured_groups, strict=True):  # type: ignore[arg-type]
            group.update(configured, initial_lr=configured["lr"])
        schedule = trainer.lr_scheduler_configs[0]
        schedule.scheduler = pl_module.scheduler(trainer.optimizers[0], total_steps(trainer))  # type: ignore[operator]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # no step was made in this process
            for _ in range(trainer.global_step):
                schedule.scheduler.step()  # type: ignore[call-arg]


def total_steps(trainer: Trainer) -> int:
    """Optimizer steps of the whole training."""
    return int(trainer.estimated_stepping_batches)
