"""The whole way in one process: train, judge, stop, continue."""

import copy
import csv
import json
import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT, TINY, composed
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from spt.command import Interrupted
from spt.config import build
from spt.evaluation.run_folder import RunFolder
from spt.heads import BinaryHead, GreyLevelsHead, Head, MultiLabelHead, TwoClassHead
from spt.losses import BCELoss, CELoss, CompoundLoss, DiceLoss, FocalLoss, NPCCLoss
from spt.metrics import METRICS
from spt.training import run
from spt.training.module import SpeckleModule
from spt.training.run import check_model, check_monitor, check_pair, share_of_light, train

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
    for split in ("val_seen", "val_class", "val_unseen"):
        for name in (split, f"{split}_last_epoch", f"{split}_reliability", f"{split}_reliability_last_epoch"):
            assert (folder.figures / f"{name}.png").is_file(), name
    final = json.loads(folder.metrics.read_text())
    assert set(final) == {"val_seen", "val_class", "val_unseen", "baselines", "run"}
    assert set(final["val_seen"]) == {*METRICS, "ece"}
    assert all(set(value) == {"mean", "sem", "n"} for value in final["val_seen"].values())
    assert final["val_seen"]["pcc"]["n"] == 8
    names = {"raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"}
    assert set(final["baselines"]["val_unseen"]) == names
    assert set(final["baselines"]["val_unseen"]["mean image"]) == set(METRICS)
    rows = list(csv.DictReader(folder.history.open()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    assert max(float(row["val_seen/pcc"]) for row in rows) == pytest.approx(value, abs=1e-5)


def test_every_value_of_the_best_epoch_is_the_final_score(straight: tuple[RunFolder, float]):
    folder, value = straight
    final = json.loads(folder.metrics.read_text())
    assert final["val_seen"]["pcc"]["mean"] == pytest.approx(value, abs=1e-5)
    best = max(csv.DictReader(folder.history.open()), key=lambda row: float(row["val_seen/pcc"]))
    for split in ("val_seen", "val_class", "val_unseen"):
        for name, score in final[split].items():
            assert float(best[f"{split}/{name}"]) == pytest.approx(score["mean"], rel=1e-4, abs=1e-5), (split, name)


def test_a_head_brings_metrics_of_its_logits_and_says_that_its_image_is_no_probability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One channel at threshold 0 is the image at threshold .5: the head's metric is the accuracy, wherever written."""

    def right(self: BinaryHead, logits: torch.Tensor, encoded: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"top1": ((logits >= 0) == (encoded >= 0.5)).flatten(1).double().mean(1)}

    monkeypatch.setattr(BinaryHead, "logit_metrics", right, raising=False)
    monkeypatch.setattr(BinaryHead, "gives_probabilities", False, raising=False)
    cfg, folder = start(tmp_path, "trainer.max_epochs=1")
    train(cfg, folder)
    final = json.loads(folder.metrics.read_text())
    row = next(csv.DictReader(folder.history.open()))
    for split in ("val_seen", "val_class", "val_unseen"):
        assert set(final[split]) == {*METRICS, "top1"}
        assert final[split]["top1"] == pytest.approx(final[split]["accuracy"])
        assert row[f"{split}/top1"] == row[f"{split}/accuracy"]
        assert f"{split}/ece" not in row
        assert not (folder.figures / f"{split}_reliability.png").exists()
    assert "| TOP1 | SpTUNet |" in folder.report.read_text()
    assert "TOP1 | linear ridge" not in folder.report.read_text()


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
    for split in ("val_seen", "val_class", "val_unseen"):
        for name in (*METRICS, "ece"):
            assert {f"{split}/{name}", f"final/{split}/{name}"} <= tags["scalars"]
        assert {f"contact_sheet/{split}", f"reliability/{split}"} <= tags["images"]
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


GOLDEN = [1.496006, 1.511713, 1.502061, 1.417427, 1.461466, 1.437987, 1.327238, 1.449421]


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
    cfg, folder = start(tmp_path, "data.source.setup.window=36", "data.source.setup.grid=112")
    with pytest.raises(ValueError, match=r"multiples of 8, got 36x36.*32x32 and 40x40"):
        train(cfg, folder)
    assert set(cache.iterdir()) == before


def test_a_network_whose_logits_do_not_fit_the_head_is_refused():
    with pytest.raises(ValueError, match=r"to \(1, 2, 16, 16\), but the head expects \(1, 1, 16, 16\)"):
        check_model(torch.nn.Conv2d(1, 2, 1), 16, 1)


@pytest.mark.parametrize("error", [AssertionError("27 is not my size"), RuntimeError("27 is not my size")])
def test_a_network_that_fails_at_this_size_is_refused_with_the_size(error: Exception):
    class Picky(nn.Module):
        def forward(self, speckle: torch.Tensor) -> torch.Tensor:
            raise error

    with pytest.raises(ValueError, match=r"^Picky does not run at 27x27 px: 27 is not my size$"):
        check_model(Picky(), 27, 1)


@pytest.mark.parametrize("training", [True, False])
def test_the_check_leaves_the_network_as_it_was(training: bool):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train(training)
    check_model(model, 16, 1)
    assert model.training == model[1].training == training
    assert model[1].num_batches_tracked == 0
    assert all(p.grad is None for p in model.parameters())


# Loss and head --------------------------------------------------------------------------------------------------------


class Undeclared(nn.Module):
    """A loss that declares no heads."""


@pytest.mark.parametrize(
    ("loss", "head"),
    [
        (BCELoss(), BinaryHead()),
        (CELoss(), TwoClassHead()),
        (DiceLoss(), BinaryHead()),
        (DiceLoss(), TwoClassHead()),
        (DiceLoss(activation="sigmoid"), MultiLabelHead()),
        (CELoss(), GreyLevelsHead()),
        (FocalLoss(), GreyLevelsHead()),
        (CompoundLoss([CELoss(), DiceLoss()], [1, 1]), TwoClassHead()),
        (Undeclared(), BinaryHead()),
        (Undeclared(), TwoClassHead()),
        (CompoundLoss([Undeclared()], [1]), TwoClassHead()),
    ],
)
def test_a_loss_that_reads_the_heads_channels_passes(loss: nn.Module, head: Head):
    check_pair(loss, head)


@pytest.mark.parametrize(
    ("loss", "head", "message"),
    [
        (
            CELoss(),
            BinaryHead(),
            r"^CELoss does not go with head=binary; it goes with head=two_class or head=grey_levels\.$",
        ),
        (BCELoss(), TwoClassHead(), r"^BCELoss does not go with head=two_class; it goes with head=binary\.$"),
        (NPCCLoss(), TwoClassHead(), "it goes with head=binary"),
        (CompoundLoss([CELoss(), DiceLoss()], [1, 1]), BinaryHead(), "CompoundLoss .* it goes with head=two_class"),
        (CompoundLoss([CELoss(), BCELoss()], [1, 1]), BinaryHead(), "parts of this loss have no head in common"),
    ],
)
def test_a_loss_that_reads_other_channels_is_refused_by_what_fits(loss: nn.Module, head: Head, message: str):
    with pytest.raises(ValueError, match=message):
        check_pair(loss, head)


def test_every_head_that_fits_is_named():
    class Third(BinaryHead):
        name = "third"

    with pytest.raises(ValueError, match=r"it goes with head=binary or head=two_class or head=multi_label\.$"):
        check_pair(DiceLoss(), Third())


@pytest.mark.parametrize(
    ("loss", "head", "reads"),
    [
        (DiceLoss(), MultiLabelHead(), "softmax, head=multi_label by sigmoid"),
        (CompoundLoss([FocalLoss(), DiceLoss()], [1, 1]), MultiLabelHead(), "softmax, head=multi_label by sigmoid"),
        (DiceLoss(activation="sigmoid"), TwoClassHead(), "sigmoid, head=two_class by softmax"),
    ],
)
def test_a_loss_that_would_read_the_logits_otherwise_is_refused_with_the_remedy(
    loss: nn.Module, head: Head, reads: str
):
    with pytest.raises(
        ValueError, match=rf"would read the logits by {reads}\. Write activation: \$\{{head\.activation"
    ):
        check_pair(loss, head)


def test_a_pair_that_does_not_fit_is_refused_before_anything_is_simulated(tmp_path: Path, cache: Path):
    before = set(cache.iterdir())
    cfg, folder = start(tmp_path, "data.source.train=25", "loss=ce", "head=binary")
    with pytest.raises(ValueError, match="CELoss does not go with head=binary"):
        train(cfg, folder)
    assert set(cache.iterdir()) == before


# What the network knows before the first step -------------------------------------------------------------------------


@pytest.fixture
def first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops a run before its first step: ``last.ckpt`` then holds what training starts from."""

    def stop(self: SpeckleModule, batch: object, batch_idx: int) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(SpeckleModule, "training_step", stop)


@pytest.mark.usefixtures("first_step")
def test_training_starts_from_the_weights_of_a_finished_run(straight: tuple[RunFolder, float], tmp_path: Path):
    cfg, folder = start(tmp_path, f"weights='{straight[0].best}'", "seed=3")
    with pytest.raises(Interrupted):
        train(cfg, folder)
    best = torch.load(straight[0].best, weights_only=True)["state_dict"]
    ours = {name: tensor for name, tensor in weights(folder).items() if name.startswith("model.")}
    assert ours
    assert all(torch.equal(tensor, best[name]) for name, tensor in ours.items())


def test_a_continued_run_does_not_need_the_weights_it_once_started_from(
    straight: tuple[RunFolder, float], tmp_path: Path
):
    cfg, folder = start(tmp_path, "weights=/since/deleted.ckpt")
    shutil.copytree(straight[0].path, tmp_path, dirs_exist_ok=True)
    assert train(cfg, folder, resume=True) == straight[1]


@pytest.mark.usefixtures("first_step")
@pytest.mark.parametrize("loss", ["bce_dice", "ce"])
@pytest.mark.parametrize("share", ["data", "0.2"])
def test_training_starts_from_the_share_of_light(tmp_path: Path, loss: str, share: str):
    cfg, folder = start(tmp_path, f"loss={loss}", f"output_prior={share}")
    with pytest.raises(Interrupted):
        train(cfg, folder)
    bias = weights(folder)["model.head.3.bias"]
    decoded = build(cfg.head).decode(bias.view(1, -1, 1, 1)).item()
    data = build(cfg.data)
    data.setup()
    expected = float(data.splits["train"].images().mean()) if share == "data" else 0.2
    assert 0 < expected < 1
    assert decoded == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("first_step")
def test_without_a_prior_the_bias_stays_what_the_network_made_it(tmp_path: Path):
    cfg, folder = start(tmp_path)
    torch.manual_seed(0)
    with pytest.raises(Interrupted):
        train(cfg, folder)
    run.seed_everything(cfg.seed, verbose=False)
    assert torch.equal(weights(folder)["model.head.3.bias"], build(cfg.model).head[3].bias)


def test_a_share_of_light_is_a_number():
    assert share_of_light(0.1) == 0.1
    assert share_of_light("1e-3") == 0.001


@pytest.mark.parametrize("share", ["abc", "train", "", "0,1"])
def test_a_prior_that_is_no_number_is_refused(share: str):
    with pytest.raises(ValueError, match=f"a number between 0 and 1, `data` or null, got '{share}'"):
        share_of_light(share)


@pytest.mark.parametrize("share", ["2.0", "abc"])
def test_a_prior_that_cannot_be_is_refused_before_anything_is_simulated(tmp_path: Path, cache: Path, share: str):
    before = set(cache.iterdir())
    seed = 77 if share == "abc" else 78  # a set of its own, that no other test has made
    cfg, folder = start(tmp_path, f"data.source.seed={seed}", f"output_prior={share}")
    with pytest.raises(ValueError, match="output_prior must"):
        train(cfg, folder)
    assert set(cache.iterdir()) == before


def test_checkpointed_activations_give_the_same_numbers(
    straight: tuple[RunFolder, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    again: list[nn.Module] = []
    checkpoint = run.checkpoint_activations
    monkeypatch.setattr(run, "checkpoint_activations", lambda model: (again.append(model), checkpoint(model)))
    cfg, folder = start(tmp_path, "activation_checkpointing=true")
    assert train(cfg, folder) == pytest.approx(straight[1], rel=1e-6)
    assert len(again) == 1
    ours, plain = (json.loads(f.metrics.read_text()) for f in (folder, straight[0]))
    for split in ("val_seen", "val_class", "val_unseen"):
        for name, value in plain[split].items():
            assert ours[split][name]["mean"] == pytest.approx(value["mean"], rel=1e-6), (split, name)
    theirs = weights(straight[0])
    for name, tensor in weights(folder).items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-7)


def test_without_checkpointing_no_stage_runs_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "checkpoint_activations", lambda model: pytest.fail("was not asked for"))
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    assert run.prepare_model(model, composed()) is model


# Every network with every loss ----------------------------------------------------------------------------------------

MODELS, LOSSES, HEADS = (
    sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml")) for group in ("model", "loss", "head")
)


@cache
def losses_of(head: str) -> dict[str, nn.Module]:
    """Every loss that goes with a head, as configured there."""
    built = {name: build(composed(f"loss={name}", f"head={head}").loss) for name in LOSSES}
    return {name: loss for name, loss in built.items() if head in loss.heads}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    # Of the wide ones, deep speckle (21,850,530 parameters) and the encoder of timm wait for the slow tests.
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ("deep_speckle", "timm_unet") else ()) for name in MODELS],
)
def test_two_steps_of_every_network_with_every_loss_that_fits_the_head(name: str, head: str):
    narrow = ["model.width=8"] if "width" in composed(f"model={name}").model else []
    cfg = composed(f"model={name}", f"head={head}", *narrow)
    model, read = build(cfg.model), build(cfg.head)
    check_model(model, 32, read.channels)
    initial = copy.deepcopy(model.state_dict())
    speckle, image = torch.randn(2, 1, 32, 32), (torch.rand(2, 1, 32, 32) > 0.9).float()
    assert losses_of(head)
    for key, loss in losses_of(head).items():
        model.load_state_dict(initial)
        module = SpeckleModule(model, loss, read, build(cfg.optimizer), build(cfg.scheduler), ["val_seen"])
        check_pair(module.loss, module.head)
        module.trainer = SimpleNamespace(estimated_stepping_batches=2)  # type: ignore[assignment]
        optimizer: Any = module.configure_optimizers()["optimizer"]  # type: ignore[index, call-overload]
        for _ in range(2):
            optimizer.zero_grad()
            value = module.loss(module.model(speckle), module.head.encode(image))
            value.backward()
            assert value.isfinite(), key
            for weight, p in model.named_parameters():
                assert p.grad is not None, (key, weight)
                assert p.grad.isfinite().all(), (key, weight)
            optimizer.step()
        moved = [not torch.equal(p, initial[weight]) for weight, p in model.named_parameters()]
        assert any(moved), key
        assert all(p.isfinite().all() for p in model.parameters()), key


def test_every_loss_goes_with_a_head():
    assert {name for head in HEADS for name in losses_of(head)} == set(LOSSES)


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
