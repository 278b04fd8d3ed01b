"""The whole way in one process: train, evaluate, stop, continue."""

import csv
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from conftest import PLAIN, TINY, composed
from lab_set import write_lab_set
from lightning import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from omegaconf import DictConfig, OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from spt.evaluation.baselines import BASELINES
from spt.evaluation.predict import Predictor
from spt.heads import BinaryHead
from spt.metrics import METRICS, pcc
from spt.run import train as verb
from spt.run.building import build
from spt.run.command import Interrupted
from spt.run.export import Reconstruction, export
from spt.run.folder import RunFolder
from spt.run.train import Prepared, connect, load_data, prepare, prepare_model, resume, train
from spt.run.trained import open_trained
from spt.training.module import SpeckleModule
from spt.training.seeding import seed_everything
from spt.training.trainer import log_every_epoch

THREE_EPOCHS = [*TINY, "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "deterministic=true", "loss=bce_dice"]


def start(folder: Path, *overrides: str) -> tuple[DictConfig, RunFolder]:
    return composed(*THREE_EPOCHS, *PLAIN, *overrides), RunFolder(folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, float]:
    """A run of three epochs that nothing disturbed."""
    cfg, folder = start(tmp_path_factory.mktemp("straight"))
    return folder, train(cfg, folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, float]:
    """The same run with everything that a user gets."""
    cfg, folder = composed(*THREE_EPOCHS), RunFolder(tmp_path_factory.mktemp("whole"))
    return folder, train(cfg, folder)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(folder.last, weights_only=True)["state_dict"]


def test_run_folder_holds_what_users_rely_on(whole: tuple[RunFolder, float]):
    folder, value = whole
    for path in (folder.best, folder.last, folder.history, folder.metrics):
        assert path.is_file(), path
    for split in ("val_seen", "val_class", "val_unseen"):
        for name in (split, f"{split}_last_epoch", f"{split}_reliability", f"{split}_reliability_last_epoch"):
            assert (folder.figures / f"{name}.png").is_file(), name
    final = json.loads(folder.metrics.read_text())
    assert set(final) == {"val_seen", "val_class", "val_unseen", "test_seen", "baselines", "run"}
    assert set(final["val_seen"]) == {*METRICS, "ece"}
    assert all(set(value) == {"mean", "sem", "n", "diffusers", "objects"} for value in final["val_seen"].values())
    assert final["val_seen"]["pcc"]["n"] == 8
    names = {"raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"}
    assert set(final["baselines"]["val_unseen"]) == names
    assert set(final["baselines"]["val_unseen"]["mean image"]) == set(METRICS)
    rows = list(csv.DictReader(folder.history.open()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    assert max(float(row["val_seen/pcc"]) for row in rows) == pytest.approx(value, abs=1e-5)


def test_speckles_and_objects_of_two_sizes(tmp_path: Path):
    """Frames of 40x56 px are cut to 32x48, objects of 36x24 px are turned: images of 24x36 px, the same once loaded."""
    write_lab_set(tmp_path / "lab.h5", (40, 56), (36, 24))
    cut = ["data.preparation.geometry.crop=[32,48]", "data.preparation.target.rotate=90"]
    correct = ["data.preparation.correction.background=mean", "data.preparation.scale=set"]
    settings = [
        "model=spt_unet",
        "model.width=4",
        "trainer=cpu",
        "trainer.precision=32-true",
        "trainer.max_epochs=1",
        "loss=bce_dice",
    ]
    own = [*settings, "trainer.precision=32-true", f"data.source.path={tmp_path / 'lab.h5'}", f"cache={tmp_path}"]
    folder = RunFolder(tmp_path / "run")
    cfg = composed("data=hdf5", *own, *cut, *correct, "~callbacks", "~logger")
    folder.config.parent.mkdir(parents=True)
    OmegaConf.save(cfg, folder.config)
    train(cfg, folder)
    final = json.loads(folder.metrics.read_text())
    assert set(final["baselines"]["val_seen"]) == {*BASELINES}
    trained = open_trained(folder.path)
    assert (trained.frame_size, trained.object_size) == ((40, 56), (24, 36))
    predictor = Predictor(trained.model, trained.head, trained.preparation, object_size=trained.object_size)
    data = build(cfg.data)
    data.setup()
    pairs = data.splits["val_seen"]
    _, image = predictor(pairs.speckle[:])
    assert image.shape == (8, 1, 24, 36)
    assert pcc(image, pairs.images()).mean().item() == pytest.approx(final["val_seen"]["pcc"]["mean"], abs=1e-5)


def test_every_value_of_the_best_epoch_is_the_final_score(whole: tuple[RunFolder, float]):
    folder, value = whole
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
    cfg, folder = composed(*THREE_EPOCHS, "trainer.max_epochs=1", "~logger"), RunFolder(tmp_path)
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


def test_tensorboard_holds_scalars_pictures_graph_hparams_and_text(whole: tuple[RunFolder, float]):
    tags: dict[str, set[str]] = {"scalars": set(), "images": set(), "tensors": set()}
    graph = False
    for path in (whole[0].path / "tensorboard").glob("events*"):
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
        assert {f"contact_sheet/{split}", f"reliability/{split}", f"final/{split}"} <= tags["images"]
    assert "config/text_summary" in tags["tensors"]
    assert graph


def test_pictures_and_scalars_share_the_axis_of_optimizer_steps(whole: tuple[RunFolder, float]):
    """Three epochs of three steps, counted from 0; what belongs to the whole run stands behind the last one."""
    steps: dict[str, list[int]] = {}
    for path in (whole[0].path / "tensorboard").glob("events*"):
        events = EventAccumulator(str(path), {"images": 0}).Reload()
        for kind, read in (("scalars", events.Scalars), ("images", events.Images)):
            for tag in events.Tags()[kind]:
                steps.setdefault(tag, []).extend(event.step for event in read(tag))
    assert steps["val_seen/pcc"] == steps["train/loss_epoch"] == [2, 5, 8]
    for split in ("val_seen", "val_class", "val_unseen"):
        assert steps[f"contact_sheet/{split}"] == steps[f"reliability/{split}"] == [2, 5, 8]
    assert steps["final/test_seen"] == steps["final/test_seen/pcc"] == [9]


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
    value = resume(prepare(cfg, folder))
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
    resume(prepare(cfg, folder))
    assert [row["epoch"] for row in csv.DictReader(folder.history.open())] == ["0", "1"]


def test_continuing_a_finished_run_that_was_moved_scores_it_again(straight: tuple[RunFolder, float], tmp_path: Path):
    cfg, folder = start(tmp_path)
    shutil.copytree(straight[0].path, tmp_path, dirs_exist_ok=True)
    folder.metrics.unlink()
    assert resume(prepare(cfg, folder)) == straight[1]
    assert json.loads(folder.metrics.read_text())["val_seen"] == json.loads(straight[0].metrics.read_text())["val_seen"]


def test_a_set_of_few_batches_is_logged_every_epoch_without_a_warning(tmp_path: Path):
    """Three steps an epoch, and a logging interval of ten."""
    cfg, folder = composed(*TINY, "~callbacks", "baseline_pairs=0"), RunFolder(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*logging interval.*")
        train(cfg, folder)
    logs = [EventAccumulator(str(path)).Reload() for path in (folder.path / "tensorboard").glob("events*")]
    (found,) = [log for log in logs if "train/loss_step" in log.Tags()["scalars"]]
    assert [point.step for point in found.Scalars("train/loss_step")] == [2, 5]


@pytest.mark.parametrize(
    ("batches", "limit", "expected"),
    [(100, 1.0, 10), (3, 1.0, 3), (100, 4, 4), (3, 4, 3), (100, 0.05, 5), (0, 1.0, 1)],
)
def test_the_logging_interval_is_at_most_an_epoch(batches: int, limit: float, expected: int):
    trainer = Trainer(log_every_n_steps=10, limit_train_batches=limit, accelerator="cpu", logger=False)
    log_every_epoch(trainer, batches)
    assert trainer.log_every_n_steps == expected


def test_golden_loss_of_eight_steps(tmp_path: Path):
    """Guards against silent changes of data, initialisation, network, loss and schedule; PyTorch 2.14, CPU.

    Kinds of CPU round differently: by 5e-4 after seven steps.
    """
    overrides = ["data.source.train=64", "trainer.max_epochs=1", "~callbacks", "baseline_pairs=0"]
    cfg, folder = composed(*THREE_EPOCHS, *overrides, "optimizer=adamw"), RunFolder(tmp_path)
    train(cfg, folder)
    events = [EventAccumulator(str(path)).Reload() for path in (folder.path / "tensorboard").glob("events*")]
    losses = [
        e.value for log in events if "train/loss_step" in log.Tags()["scalars"] for e in log.Scalars("train/loss_step")
    ]
    assert losses == pytest.approx(GOLDEN, rel=2e-3)


GOLDEN = [1.37997, 1.37465, 1.34727, 1.35202, 1.34948, 1.35454, 1.34215, 1.34427]


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
    assert resume(prepare(cfg, folder)) == straight[1]


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
    seed_everything(cfg.seed)
    assert torch.equal(weights(folder)["model.head.3.bias"], build(cfg.model).head[3].bias)


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
    checkpoint = verb.checkpoint_activations
    monkeypatch.setattr(verb, "checkpoint_activations", lambda model: (again.append(model), checkpoint(model)))
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
    monkeypatch.setattr(verb, "checkpoint_activations", lambda model: pytest.fail("was not asked for"))
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    assert prepare_model(model, composed()) is model


def test_a_monitor_can_be_a_loss(tmp_path: Path):
    cfg, folder = start(tmp_path, "trainer.max_epochs=1", "monitor.name=val_seen/loss")
    assert train(cfg, folder) > 0


def in_half_precision(config: DictConfig, folder: RunFolder, resumed: bool) -> tuple[torch.amp.GradScaler, Prepared]:
    """Train in fp16 with loss scaling, on the CPU, where Lightning does not; the first scale is too large."""
    prepared = prepare(config, folder, new=not resumed)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    prepared.trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)
    module = connect(prepared, load_data(prepared))
    again = str(folder.last) if resumed else None
    prepared.trainer.fit(module, datamodule=prepared.parts.data, ckpt_path=again, weights_only=True)
    return scaler, prepared


@pytest.mark.slow
def test_trains_in_fp16_with_a_loss_scale_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Steps whose scaled gradients overflow are left out, and the scale is halved until they do not."""
    cfg, folder = start(tmp_path / "straight", "data.source.train=64", "loss=dice", "optimizer=adamw")
    scaler, prepared = in_half_precision(cfg, folder, resumed=False)
    assert 1 < scaler.get_scale() < 2.0**30
    steps = [int(state["step"]) for state in prepared.trainer.optimizers[0].state.values()]
    assert 0 < min(steps) < 24, "some of the 24 steps are left out"
    losses = [float(row["train/loss"]) for row in csv.DictReader(folder.history.open())]
    assert losses[-1] < losses[0]
    assert all(tensor.isfinite().all() for tensor in weights(folder).values())
    hurt, step = RunFolder(tmp_path / "hurt"), SpeckleModule.training_step

    def pulled_plug(self: SpeckleModule, batch: object, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(SpeckleModule, "training_step", pulled_plug)
        with pytest.raises(SystemExit):  # as Lightning ends it
            in_half_precision(cfg, hurt, resumed=False)
    again, _ = in_half_precision(cfg, hurt, resumed=True)
    assert again.get_scale() == scaler.get_scale()
    assert all(torch.equal(tensor, weights(hurt)[name]) for name, tensor in weights(folder).items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_trains_on_a_gpu_in_16_bits(tmp_path: Path, precision: str):
    cfg, folder = start(tmp_path, "trainer.accelerator=gpu", f"trainer.precision={precision}", "deterministic=false")
    train(cfg, folder)
    ran = json.loads(folder.metrics.read_text())["run"]
    assert ran["device"] == f"1 x {torch.cuda.get_device_name()}"
    assert ran["precision"] == precision


@pytest.mark.parametrize("kind", ["spectra", "autocorrelation"])
def test_a_network_on_spectra_from_training_to_new_frames(tmp_path: Path, kind: str):
    """Frames of 64 px become ten channels of 32 px; images have the objects' 28 px, once loaded and exported too."""
    write_lab_set(tmp_path / "lab.h5", (64, 64), (28, 28), dark=0.2)
    chosen = ["data=hdf5", f"preparation@data.preparation={kind}", "model.width=4", "loss=bce_dice", "trainer=cpu"]
    own = ["trainer.precision=32-true", "trainer.max_epochs=1", f"data.source.path={tmp_path / 'lab.h5'}"]
    folder = RunFolder(tmp_path / "run")
    cfg = composed(*chosen, *own, f"cache={tmp_path}", "~callbacks", "~logger")
    folder.config.parent.mkdir(parents=True)
    OmegaConf.save(cfg, folder.config)
    train(cfg, folder)
    final = json.loads(folder.metrics.read_text())
    assert set(final["baselines"]["val_seen"]) == {*BASELINES}
    trained = open_trained(folder.path)
    data = build(cfg.data)
    data.setup()
    pairs = data.splits["val_seen"]
    images = trained(pairs.speckle[:])
    assert images.shape == (8, 28, 28)
    assert pcc(images[:, None], pairs.images()).mean().item() == pytest.approx(
        final["val_seen"]["pcc"]["mean"], abs=1e-5
    )
    whole = Reconstruction(trained.model, trained.head, trained.preparation, trained.object_size).eval()
    assert export(whole, (64, 64), tmp_path / "net.pt2", "torch_export") < 1e-4
