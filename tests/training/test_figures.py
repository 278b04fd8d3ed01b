"""Contact sheets and reliability diagrams: what is drawn, and when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import nn

from spt.data.pairs import Pairs
from spt.metrics import calibration_error, reliability
from spt.training.figures import ContactSheets, ModelGraph, ReliabilityDiagrams


def trainer(epoch: int) -> Any:
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=0))
    return SimpleNamespace(current_epoch=epoch, is_global_zero=True, max_epochs=4, loggers=[], fit_loop=loop)


def test_the_sheet_shows_the_images_of_validation_at_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of 5 pairs the first, the middle and the last, whatever the order of the batches."""
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []

    def sheet(speckle: torch.Tensor, pred: torch.Tensor, target: torch.Tensor, title: str) -> np.ndarray:
        drawn.append((pred, target))
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr("spt.evaluation.pictures.contact_sheet", sheet)
    target, pred = torch.rand(5, 8, 8), torch.rand(5, 1, 8, 8)
    callback = ContactSheets(images=3)
    callback.bind(tmp_path, {"val_seen": Pairs("val_seen", torch.rand(5, 8, 8), target, torch.zeros(5).long())})
    for index in ([3, 4], [0, 1], [2, 0]):
        batch: Any = {"index": torch.tensor(index)}
        callback.on_validation_batch_end(trainer(0), None, pred[index], batch, 0)  # type: ignore[arg-type]
    callback.on_validation_epoch_end(trainer(0), None)  # type: ignore[arg-type]
    ((shown, truth),) = drawn
    assert torch.equal(shown, pred[[0, 2, 4]])
    assert torch.equal(truth[:, 0], target[[0, 2, 4]])
    assert Image.open(tmp_path / "val_seen_last_epoch.png").size == (2, 2)


def test_of_two_processes_the_first_sees_every_image_of_the_sheet():
    callback = ContactSheets(images=4)
    callback.bind(Path(), {"a": Pairs("a", torch.rand(9, 8, 8), torch.rand(9, 8, 8), torch.zeros(9).long())}, 2)
    assert all(number % 2 == 0 for number in callback.drawn[0])


@pytest.mark.parametrize("settings", [{"every": 0}, {"images": 0}])
def test_contact_sheets_refuse_nothing_to_draw(settings: dict[str, int]):
    with pytest.raises(ValueError, match="every >= 1 and images >= 1"):
        ContactSheets(**settings)


# The graph ------------------------------------------------------------------------------------------------------------


class Upsampling(nn.Module):
    """Looks whether deterministic algorithms are asked for; upsamples as the networks do."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.seen = torch.device(device), []

    def forward(self, speckle: torch.Tensor) -> torch.Tensor:
        self.seen.append(torch.are_deterministic_algorithms_enabled())
        return F.interpolate(speckle, scale_factor=2.0, mode="bilinear")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_deterministic_run_is_traced_without_that_setting_and_keeps_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, device: str
):
    """With it, torch cannot trace the upsampling on a GPU: its deterministic form mixes devices."""
    module = Upsampling(device)
    watched: Any = SimpleNamespace(loggers=[TensorBoardLogger(tmp_path)], is_global_zero=True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        ModelGraph(torch.zeros(1, 1, 8, 8)).on_fit_start(watched, module)  # type: ignore[arg-type]
        after = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert set(module.seen) == {False}
    assert after == (True, True)
    assert not caplog.records


# Calibration ----------------------------------------------------------------------------------------------------------


class Logged(dict[str, torch.Tensor]):
    """A module that remembers what was logged."""

    def log(self, name: str, value: torch.Tensor) -> None:
        self[name] = value


def validate(callback: ReliabilityDiagrams, epoch: int, *splits: tuple[torch.Tensor, torch.Tensor]) -> Logged:
    """An epoch of validation in batches of 2 over splits of 5 images, the first repeated to fill the last batch."""
    module, run = Logged(), trainer(epoch)
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
