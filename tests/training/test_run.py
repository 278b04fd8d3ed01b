"""The whole way in one process: train, judge, stop, continue."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, composed
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spt.command import Interrupted
from spt.evaluation.run_folder import RunFolder
from spt.training.module import SpeckleModule
from spt.training.run import check_model, check_monitor, train

THREE_EPOCHS = [*TINY, "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "deterministic=true", "loss=bce_dice"]


def start(folder: Path, *overrides: str) -> tuple[DictConfig, RunFolder]:
    return composed(*THREE_EPOCHS, *overrides), RunFolder(folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, float]:
    """A run of three epochs that nothing disturbed."""
    cfg, folder = start(tmp_path_factory.mktemp("straight"))
    return folder, train(cfg, folder)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(folder.last, weights_only=True)["state_dict"]


def test_run_folder_holds_what_users_rely_on(straight: tuple[RunFolder, float]):
    folder, value = straight
    for path in (folder.best, folder.last, folder.history, folder.metrics):
        assert path.is_file(), path
    assert {p.name for p in folder.figures.glob("*.png")} >= {"val_seen.png", "val_class.png", "val_unseen.png"}
    final = json.loads(folder.metrics.read_text())
    assert set(final) == {"val_seen", "val_class", "val_unseen", "baselines", "run"}
    assert set(final["val_seen"]) == {"pcc", "ssim", "ji", "psnr"}
    assert set(final["val_seen"]["pcc"]) == {"mean", "sem", "n"}
    assert final["val_seen"]["pcc"]["n"] == 8
    names = {"raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"}
    assert set(final["baselines"]["val_unseen"]) == names
    rows = list(csv.DictReader(folder.history.open()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    assert max(float(row["val_seen/pcc"]) for row in rows) == pytest.approx(value, abs=1e-5)


def test_monitored_value_is_the_final_score(straight: tuple[RunFolder, float]):
    folder, value = straight
    assert json.loads(folder.metrics.read_text())["val_seen"]["pcc"]["mean"] == pytest.approx(value, abs=1e-5)


def test_tensorboard_holds_scalars_pictures_graph_hparams_and_text(straight: tuple[RunFolder, float]):
    tags: dict[str, set[str]] = {"scalars": set(), "images": set(), "tensors": set()}
    graph = False
    for path in (straight[0].path / "tensorboard").glob("events*"):
        events = EventAccumulator(str(path)).Reload()
        found = events.Tags()
        graph = graph or bool(found["graph"])
        for kind in tags:
            tags[kind] |= set(found[kind])
    assert {"train/loss_step", "train/loss_epoch", "val_seen/pcc", "val_unseen/ssim", "val_class/loss"} <= tags[
        "scalars"
    ]
    assert any(tag.startswith("lr-") for tag in tags["scalars"])
    assert "final/val_seen/pcc" in tags["scalars"]
    assert {"contact_sheet/val_seen", "contact_sheet/val_unseen"} <= tags["images"]
    assert "config/text_summary" in tags["tensors"]
    assert graph


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_stopped_run_continues_to_the_same_numbers(
    straight: tuple[RunFolder, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
):
    cfg, folder = start(tmp_path)
    step = SpeckleModule.training_step

    def pulled_plug(self: SpeckleModule, batch: object, batch_idx: int) -> torch.Tensor:
        if self.global_step == at:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(SpeckleModule, "training_step", pulled_plug)
        with pytest.raises(Interrupted, match=r"continue with: python train\.py run="):
            train(cfg, folder)
    value = train(cfg, folder, resume=True)
    assert value == straight[1]
    theirs = weights(straight[0])
    for name, tensor in weights(folder).items():
        assert torch.equal(tensor, theirs[name]), name
    ours, undisturbed = (json.loads(f.metrics.read_text()) for f in (folder, straight[0]))
    assert ours["val_seen"] == undisturbed["val_seen"]
    assert ours["val_unseen"] == undisturbed["val_unseen"]
    assert folder.history.read_text() == straight[0].history.read_text()


def test_a_finished_run_can_be_made_longer(tmp_path: Path):
    cfg, folder = start(tmp_path, "trainer.max_epochs=1")
    train(cfg, folder)
    cfg.trainer.max_epochs = 2
    train(cfg, folder, resume=True)
    assert [row["epoch"] for row in csv.DictReader(folder.history.open())] == ["0", "1"]


def test_continuing_a_finished_run_that_was_moved_judges_it_again(straight: tuple[RunFolder, float], tmp_path: Path):
    cfg, folder = start(tmp_path)
    shutil.copytree(straight[0].path, tmp_path, dirs_exist_ok=True)
    folder.metrics.unlink()
    assert train(cfg, folder, resume=True) == straight[1]
    assert json.loads(folder.metrics.read_text())["val_seen"] == json.loads(straight[0].metrics.read_text())["val_seen"]


def test_golden_loss_of_eight_steps(tmp_path: Path):
    """Guards against silent changes of data, initialisation, network, loss and schedule; PyTorch 2.14, CPU."""
    cfg, folder = start(tmp_path, "data.source.train=64", "trainer.max_epochs=1")
    train(cfg, folder)
    events = [EventAccumulator(str(path)).Reload() for path in (folder.path / "tensorboard").glob("events*")]
    losses = [
        e.value for log in events if "train/loss_step" in log.Tags()["scalars"] for e in log.Scalars("train/loss_step")
    ]
    assert losses == pytest.approx(GOLDEN, rel=2e-4)


GOLDEN = [1.496499, 1.541687, 1.506449, 1.440858, 1.480199, 1.427576, 1.367174, 1.466102]


def test_nan_in_the_loss_names_step_and_samples_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cfg, folder = start(tmp_path)
    step = SpeckleModule.training_step

    def poisoned(self: SpeckleModule, batch: object, batch_idx: int) -> torch.Tensor:
        loss = step(self, batch, batch_idx)  # type: ignore[arg-type]
        return loss * float("nan") if self.global_step == 4 else loss

    monkeypatch.setattr(SpeckleModule, "training_step", poisoned)
    with pytest.raises(ValueError, match=r"loss became nan in epoch 1, step 5, on samples \[\d+(, \d+)*\] of train"):
        train(cfg, folder)
    assert all(tensor.isfinite().all() for tensor in weights(folder).values() if tensor.is_floating_point())


def test_a_size_the_network_cannot_take_is_refused_before_anything_is_simulated(tmp_path: Path, cache: Path):
    before = set(cache.iterdir())
    cfg, folder = start(tmp_path, "data.source.setup.window=36", "data.source.setup.grid=72")
    with pytest.raises(ValueError, match=r"multiples of 8, got 36x36.*32x32 and 40x40"):
        train(cfg, folder)
    assert set(cache.iterdir()) == before


def test_a_network_whose_logits_do_not_fit_the_head_is_refused():
    with pytest.raises(ValueError, match=r"to \(1, 2, 16, 16\), but the head expects \(1, 1, 16, 16\)"):
        check_model(torch.nn.Conv2d(1, 2, 1), 16, 1)


@pytest.mark.parametrize("name", ["val_unseen/pcc", "val_seem/pcc", "train/loss"])
def test_an_unseen_or_unknown_split_does_not_choose_the_epoch(name: str):
    with pytest.raises(ValueError, match="is not a value of val_seen, val_class"):
        check_monitor(name, ["val_seen", "val_class", "val_unseen"])


def test_a_monitor_can_be_a_loss(tmp_path: Path):
    cfg, folder = start(tmp_path, "trainer.max_epochs=1", "monitor.name=val_seen/loss", "monitor.mode=min")
    assert train(cfg, folder) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_a_gpu_in_bf16(tmp_path: Path):
    cfg, folder = start(tmp_path, "trainer.accelerator=gpu", "trainer.precision=bf16-mixed", "deterministic=false")
    train(cfg, folder)
    ran = json.loads(folder.metrics.read_text())["run"]
    assert ran["device"] == f"1 x {torch.cuda.get_device_name()}"
    assert ran["precision"] == "bf16-mixed"
