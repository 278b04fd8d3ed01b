"""A run that turns into NaN stops with the place named, and the last good checkpoint is left."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from spt.errors import InvalidValue
from spt.training.finite import FiniteTraining


def trainer(step: int = 1, **logged: float) -> Any:
    values = {name.replace("__", "/"): torch.tensor(value) for name, value in logged.items()}
    return SimpleNamespace(current_epoch=1, global_step=step, callback_metrics=values)


def module(device: str = "cpu") -> Any:
    found = nn.Linear(2, 1)
    found.device = torch.device(device)  # type: ignore[assignment]
    return found


def steps(check: FiniteTraining, losses: list[float], device: str = "cpu") -> None:
    for step, loss in enumerate(losses, 1):
        batch: Any = {"index": torch.tensor([step, 7])}
        check.on_train_batch_end(trainer(step), module(device), {"loss": torch.tensor(loss)}, batch, step)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_on_a_cpu_the_step_stops_the_run(loss: float):
    message = rf"the loss became {loss} in epoch 1, step 2, on samples \[2, 7\] of train\. last\.ckpt holds"
    with pytest.raises(InvalidValue, match=message):
        steps(FiniteTraining(Path("last.ckpt")), [0.5, loss])


def test_on_a_gpu_a_look_is_rare_and_names_the_first_step():
    check = FiniteTraining(Path("last.ckpt"), every=3)
    steps(check, [0.5, float("nan")], "meta")
    with pytest.raises(InvalidValue, match=r"in epoch 1, step 2, on samples \[2, 7\]"):
        check.on_validation_start(trainer(), module())
    with pytest.raises(InvalidValue, match="step 1"):
        steps(check, [float("nan")] * 3, "meta")


def test_weights_that_are_not_finite_are_named_before_they_are_saved():
    broken = module()
    broken.bias.data[0] = float("nan")
    for hook in ("on_validation_start", "on_train_epoch_end"):
        with pytest.raises(InvalidValue, match=r"bias is no longer finite after epoch 1\. last\.ckpt holds"):
            getattr(FiniteTraining(Path("last.ckpt")), hook)(trainer(), broken)


def test_a_validation_value_that_is_not_finite_is_named():
    check = FiniteTraining(Path("last.ckpt"))
    check.on_validation_end(trainer(val_seen__pcc=0.5, train__loss=float("nan")), module())
    with pytest.raises(InvalidValue, match=r"validation after epoch 1 gave val_unseen/ssim = nan"):
        check.on_validation_end(trainer(val_seen__pcc=0.5, val_unseen__ssim=float("nan")), module())
