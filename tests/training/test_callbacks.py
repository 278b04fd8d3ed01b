"""Callbacks that can be judged alone; the others are seen at work in test_run."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spt.metrics import calibration_error, reliability
from spt.training.callbacks import ContactSheets, EpochSeed, FiniteLoss, History, ReliabilityDiagrams, Speed


def trainer(epoch: int, step: int = 0, **metrics: float) -> Any:
    values = {name.replace("__", "/"): torch.tensor(value) for name, value in metrics.items()}
    return SimpleNamespace(
        current_epoch=epoch, global_step=step, global_rank=0, is_global_zero=True, callback_metrics=values
    )


def test_history_has_one_row_an_epoch_and_drops_repeated_ones(tmp_path: Path):
    history = History(tmp_path / "metrics.csv")
    for epoch, value in [(0, 0.1), (1, 0.2), (2, 0.3), (1, 0.5)]:
        history.on_train_epoch_end(trainer(epoch, epoch * 10, val_seen__pcc=value, train__loss_epoch=1.0), None)  # type: ignore[arg-type]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(r["epoch"], r["val_seen/pcc"], r["train/loss"]) for r in rows] == [("0", "0.1", "1"), ("1", "0.5", "1")]


def test_epoch_seed_depends_on_seed_and_epoch_alone():
    def draw(seed: int, epoch: int) -> float:
        torch.rand(3)
        EpochSeed(seed).on_train_epoch_start(trainer(epoch), None)  # type: ignore[arg-type]
        return torch.rand(1).item()

    assert draw(0, 3) == draw(0, 3)
    assert len({draw(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_finite_loss_passes_and_infinite_stops():
    batch: Any = {"index": torch.tensor([4, 7])}
    check = FiniteLoss()
    check.on_train_batch_end(trainer(1, 9), None, {"loss": torch.tensor(0.5)}, batch, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"inf in epoch 1, step 9, on samples \[4, 7\]"):
        check.on_train_batch_end(trainer(1, 9), None, {"loss": torch.tensor(float("inf"))}, batch, 0)  # type: ignore[arg-type]


def test_speed_counts_the_samples_of_every_process_after_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Two processes, 4 samples a step and process, a step each 0.5 s: 16 samples/s, and 87 steps of 8 are left."""
    speed = Speed(warm_up=3, measured=10)
    monkeypatch.setattr(Speed, "_now", staticmethod(lambda fake: fake.global_step * 0.5))
    run = trainer(0)
    run.world_size, run.estimated_stepping_batches = 2, 100
    run.strategy = SimpleNamespace(root_device=torch.device("cpu"))
    with caplog.at_level("INFO"):
        for step in range(1, 14):
            assert speed.samples_per_second is None
            run.global_step = step
            speed.on_train_batch_end(run, None, {"loss": torch.tensor(1.0)}, {"index": torch.arange(4)}, step)  # type: ignore[arg-type]
    assert speed.samples_per_second == 16
    assert "16.0 samples/s; training will take about 44 s more." in caplog.text


@pytest.mark.parametrize("settings", [{"every": 0}, {"images": 0}])
def test_contact_sheets_refuse_nothing_to_draw(settings: dict[str, int]):
    with pytest.raises(ValueError, match="every >= 1 and images >= 1"):
        ContactSheets(**settings)


# Calibration ----------------------------------------------------------------------------------------------------------


class Logged(dict[str, torch.Tensor]):
    """A module that remembers what was logged."""

    def log(self, name: str, value: torch.Tensor) -> None:
        self[name] = value


def validate(callback: ReliabilityDiagrams, epoch: int, *splits: tuple[torch.Tensor, torch.Tensor]) -> Logged:
    """An epoch of validation in batches of 2 over splits of 5 images, the first repeated to fill the last batch."""
    module, run = Logged(), trainer(epoch)
    run.max_epochs, run.loggers = 4, []
    for loader, (pred, target) in enumerate(splits):
        for k, index in enumerate(([0, 1], [2, 3], [4, 0])):
            batch: Any = {"target": target[index], "index": torch.tensor(index)}
            callback.on_validation_batch_end(run, module, pred[index], batch, k, loader)  # type: ignore[arg-type]
    callback.on_validation_epoch_end(run, module)  # type: ignore[arg-type]
    return module


def test_reliability_logs_and_draws_every_split(tmp_path: Path):
    splits = [(torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)) for _ in range(2)]
    callback = ReliabilityDiagrams(bins=10)
    callback.bind(tmp_path, ["val_seen", "val_unseen"])
    for epoch in range(2):
        logged = validate(callback, epoch, *splits)
        assert list(logged) == ["val_seen/ece", "val_unseen/ece"]
        for value, split in zip(logged.values(), splits, strict=True):
            expected = calibration_error(reliability(*split, bins=10).sum(0))
            assert value.item() == pytest.approx(expected.item(), abs=1e-7), "an image was counted twice, or kept"
    names = ["val_seen_reliability_last_epoch.png", "val_unseen_reliability_last_epoch.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_reliability_is_drawn_every_so_often_and_at_the_end_but_always_logged(tmp_path: Path):
    split = torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)
    callback = ReliabilityDiagrams(every=3)
    callback.bind(tmp_path, ["val_seen"])
    drawn = []
    for epoch in range(4):
        assert list(validate(callback, epoch, split)) == ["val_seen/ece"]
        drawn.append(bool(list(tmp_path.iterdir())))
        for path in tmp_path.iterdir():
            path.unlink()
    assert drawn == [False, False, True, True]


def test_reliability_does_nothing_where_images_are_no_probabilities():
    split = torch.rand(5, 1, 8, 8) * 7, torch.rand(5, 1, 8, 8)  # out of [0, 1]: bins would refuse them
    assert validate(ReliabilityDiagrams(), 0, split) == {}


@pytest.mark.parametrize("settings", [{"every": 0}, {"bins": 0}])
def test_reliability_refuses_nothing_to_draw(settings: dict[str, int]):
    with pytest.raises(ValueError, match="every >= 1 and bins >= 1"):
        ReliabilityDiagrams(**settings)
