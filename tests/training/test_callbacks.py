"""Callbacks that can be tested alone; the others are seen at work in tests/run/test_train.py."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spt.training.callbacks import EpochSeed, History, Speed, TrainingLoss


def trainer(epoch: int, step: int = 0, **metrics: float) -> Any:
    values = {name.replace("__", "/"): torch.tensor(value) for name, value in metrics.items()}
    return SimpleNamespace(
        current_epoch=epoch, global_step=step, global_rank=0, is_global_zero=True, callback_metrics=values
    )


def test_history_has_one_row_an_epoch_and_drops_repeated_ones(tmp_path: Path):
    history = History(tmp_path / "metrics.csv")
    for epoch, value in [(0, 0.1), (1, 0.2), (2, 0.3), (1, 0.5)]:
        run = trainer(epoch, epoch * 10, val_seen__pcc=value, train__loss_epoch=1.0)
        history.on_validation_end(run, None)  # type: ignore[arg-type]
        history.on_train_epoch_end(run, None)  # type: ignore[arg-type]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(r["epoch"], r["val_seen/pcc"], r["train/loss"]) for r in rows] == [("0", "0.1", "1"), ("1", "0.5", "1")]


def test_an_epoch_that_was_not_validated_shows_no_values_of_an_earlier_one(tmp_path: Path):
    history = History(tmp_path / "metrics.csv")
    for epoch in range(3):
        run = trainer(epoch, epoch, val_seen__pcc=0.5, train__loss_epoch=1.0)
        if epoch == 1:
            history.on_validation_end(run, None)  # type: ignore[arg-type]
        history.on_train_epoch_end(run, None)  # type: ignore[arg-type]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["val_seen/pcc"] for row in rows] == ["", "0.5", ""]
    assert [row["train/loss"] for row in rows] == ["1", "1", "1"]


def test_the_mean_loss_counts_samples_and_the_steps_that_are_due_are_logged():
    """Two batches a step: Lightning hands over half of each loss. (4 x 1 + 2 x 4) / 6 = 2."""
    logged: list[tuple[str, float]] = []
    module: Any = torch.nn.Linear(1, 1)
    module.device, module.log = "cpu", lambda name, value, **where: logged.append((name, float(value)))
    mean, run = TrainingLoss(), trainer(0)
    run.accumulate_grad_batches = 2
    for epoch in range(2):
        mean.on_train_epoch_start(run, module)
        for step, (loss, samples) in enumerate([(1.0, 4), (4.0, 2)]):
            run.log_every_n_steps, run.global_step = 2, 2 * epoch + step + 1
            batch: Any = {"index": torch.arange(samples)}
            mean.on_train_batch_end(run, module, {"loss": torch.tensor(loss / 2)}, batch, step)
        mean.on_train_epoch_end(run, module)
        assert logged[2 * epoch :] == [("train/loss_step", 4.0), ("train/loss_epoch", 2.0)]


def test_epoch_seed_depends_on_seed_and_epoch_alone():
    def draw(seed: int, epoch: int) -> float:
        torch.rand(3)
        EpochSeed(seed).on_train_epoch_start(trainer(epoch), None)  # type: ignore[arg-type]
        return torch.rand(1).item()

    assert draw(0, 3) == draw(0, 3)
    assert len({draw(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(("accumulated", "left"), [(1, "44 s"), (8, "6 min")])
def test_speed_counts_the_samples_of_every_process_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accumulated: int, left: str
):
    """Two processes, 4 samples a batch and process, a batch each 0.5 s: 16 samples/s, and 87 optimizer steps left."""
    speed = Speed(warm_up=3, measured=10)
    monkeypatch.setattr(Speed, "_now", staticmethod(lambda fake: fake.global_step * 0.5))
    run = trainer(0)
    run.world_size, run.estimated_stepping_batches, run.accumulate_grad_batches = 2, 100, accumulated
    run.strategy = SimpleNamespace(root_device=torch.device("cpu"))
    with caplog.at_level("INFO"):
        for step in range(1, 14):
            assert speed.samples_per_second is None
            run.global_step = step
            speed.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, {"index": torch.arange(4)}, step)  # type: ignore[arg-type]
    assert speed.samples_per_second == 16
    assert f"16.0 samples/s; training will take about {left} more." in caplog.text
