"""The configurations compose from anywhere, and everything that they name builds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, composed
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from torch import nn

from spt.data.augmentation import PhysicalAugmentation
from spt.data.datamodule import SpeckleDataModule
from spt.losses import check_head
from spt.run.building import build

CONFIGS = ROOT / "configs"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


SETS = [name for name in options("data") if name not in ("simulated", "recorded")]  # bases of the others


def test_what_all_simulated_sets_share_needs_optics():
    with pytest.raises(ConfigCompositionException, match=r"You must specify 'optics@data\.source\.setup'"):
        composed("data=simulated")
    assert composed("data=simulated", "optics@data.source.setup=thick").data.source.setup.window == 64


def test_default_is_spt_unet_with_dice_and_a_new_diffuser_for_every_pair():
    cfg = composed()
    assert cfg.model._target_ == "spt.models.SpTUNet"
    assert cfg.model.out_channels == cfg.head.channels == 1
    assert cfg.loss._target_ == "spt.losses.DiceLoss"
    assert cfg.data.source._target_ == "spt.data.simulated.SimulatedSpeckles"
    assert cfg.data.source.train == 6000
    assert cfg.data.source.train_diffusers is None
    assert cfg.monitor == {"name": "val_seen/pcc"}


def test_composes_from_any_folder(tmp_path: Path):
    code = (
        "import spt\nfrom hydra import compose, initialize_config_dir\n"
        f"with initialize_config_dir({str(CONFIGS)!r}, version_base='1.3'):\n"
        "    print(compose('train', ['loss=bce']).loss._target_)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "spt.losses.BCELoss"


@pytest.mark.parametrize("name", options("model"))
def test_every_model_maps_speckle_to_the_heads_channels(name: str):
    cfg = composed(f"model={name}")
    model = instantiate(cfg.model).eval()
    assert isinstance(model, nn.Module)
    with torch.no_grad():
        assert model(torch.randn(2, 1, 32, 64)).shape == (2, cfg.head.channels, 32, 64)


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss_is_a_scalar_that_prefers_the_truth(name: str):
    cfg = composed(f"loss={name}")
    loss, head = instantiate(cfg.loss), instantiate(cfg.head)
    image = (torch.rand(3, 1, 16, 16) > 0.8).float()
    target = head.encode(image)
    right, wrong = loss(8 * (2 * target - 1), target), loss(-8 * (2 * target - 1), target)
    assert right.ndim == 0
    assert right < wrong


# What chooses the head: the model, unless the loss asks for one, unless the user does ---------------------------------


def head_of(*overrides: str) -> str:
    cfg = composed(*overrides)
    head = build(cfg.head)
    assert cfg.model.out_channels == head.channels
    return head.name


def test_deep_speckle_brings_two_softmax_channels():
    assert head_of("model=deep_speckle") == "two_class"
    assert composed("model=deep_speckle").model.out_channels == 2


@pytest.mark.parametrize(
    "loss", ["bce", "bce_dice", "bce_iou", "weighted_bce", "npcc", "npcc_bce", "mse", "l1", "ssim"]
)
def test_a_loss_of_one_channel_brings_the_binary_head(loss: str):
    assert head_of("model=deep_speckle", f"loss={loss}") == "binary"
    assert head_of(f"loss={loss}", "model=deep_speckle") == "binary"


@pytest.mark.parametrize("model", options("model"))
def test_cross_entropy_brings_two_softmax_channels_to_every_model(model: str):
    assert head_of(f"model={model}", "loss=ce") == "two_class"


@pytest.mark.parametrize("model", ["spt_unet", "deep_speckle"])  # brings no head, brings one
@pytest.mark.parametrize("loss", options("loss"))
def test_a_model_composes_with_every_loss_and_a_head_that_fits(model: str, loss: str):
    cfg = composed(f"model={model}", f"loss={loss}")
    head, criterion = build(cfg.head), build(cfg.loss)
    assert head.name in criterion.heads
    assert cfg.model.out_channels == head.channels


@pytest.mark.parametrize("head", ["binary", "two_class", "multi_label"])
@pytest.mark.parametrize("model", ["spt_unet", "deep_speckle"])
def test_the_head_of_the_command_line_wins_and_dice_goes_with_each(model: str, head: str):
    cfg = composed(f"model={model}", "loss=dice", f"head={head}")
    assert head_of(f"model={model}", "loss=dice", f"head={head}") == head
    check_head(build(cfg.loss), build(cfg.head))


def test_a_head_that_the_loss_cannot_read_composes_and_is_refused_by_name():
    cfg = composed("loss=ce", "head=binary")
    assert cfg.model.out_channels == 1
    with pytest.raises(
        ValueError, match=r"CELoss does not go with head=binary; it goes with head=two_class or head=grey_levels\."
    ):
        check_head(build(cfg.loss), build(cfg.head))


def test_the_loss_of_an_experiment_brings_its_head_too():
    assert head_of("experiment=quick", "model=deep_speckle") == "binary"
    assert head_of("experiment=quick", "loss=ce") == "two_class"


@pytest.mark.parametrize(("value", "kept"), [("null", None), ("0.25", 0.25), ("1e-3", 0.001), ("data", "data")])
def test_the_output_prior_is_a_number_a_word_or_nothing(value: str, kept: float | str | None):
    assert composed(f"output_prior={value}").output_prior == kept


@pytest.mark.parametrize("name", options("optimizer"))
@pytest.mark.parametrize("schedule", options("scheduler"))
def test_every_optimizer_steps_with_every_scheduler(name: str, schedule: str):
    cfg = composed(f"optimizer={name}", f"scheduler={schedule}")
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = build(cfg.optimizer)([{"params": [weight]}])
    scheduler = build(cfg.scheduler)(optimizer, 10)
    weight.square().sum().backward()
    optimizer.step()
    scheduler.step()
    assert (weight < 1).all()


MEASURED_MEDIA = {"fibre", "incoherent"}
OWN_FILES = {"folder", "arrays", "deep_speckle", "fibre_mat", "scattering_220grit"}


@pytest.mark.parametrize("name", SETS)
def test_every_data_config_builds(name: str):
    if name in MEASURED_MEDIA and not os.environ.get("SPT_DATA"):
        pytest.skip("SPT_DATA is not set: the measured media are not part of the repository")
    data = build(composed(f"data={name}").data)
    assert isinstance(data, SpeckleDataModule)
    if name not in ("hdf5", *OWN_FILES):  # which name no file yet
        assert [side % 8 for side in data.source.frame_size] == [0, 0]


@pytest.mark.parametrize("name", options("augmentation"))
@pytest.mark.parametrize("data", ["weak_scatter", "hdf5", "folder", "arrays", "real_220grit"])
def test_every_augmentation_goes_with_every_set(data: str, name: str):
    node = composed(f"data={data}", f"augmentation@data.augmentation={name}").data.augmentation
    assert isinstance(build(node), PhysicalAugmentation)


@pytest.mark.parametrize("name", SETS)
def test_no_set_is_augmented_or_left_in_its_files_by_default(name: str):
    data = composed(f"data={name}").data
    assert data.get("augmentation") is None
    assert data.cache == "auto"


@pytest.mark.parametrize("name", options("objects"))
def test_every_family_of_objects_builds(name: str):
    objects = build(composed(f"objects@data.source.objects={name}").data).source.objects
    assert {"describe", "count", "identify", "draw"} <= set(dir(objects))


@pytest.mark.parametrize("name", ["one_diffuser", "weak_scatter", "grit", "thick"])
def test_online_draws_fresh_diffusers(name: str):
    source = build(composed(f"data={name}", "data.online=true").data).source
    assert source.train_diffusers is None
    assert source.device == "auto"


@pytest.mark.parametrize("name", options("trainer"))
def test_every_trainer_composes_with_a_precision_of_this_machine(name: str):
    cfg = composed(f"trainer={name}")
    assert cfg.trainer.precision in ("32-true", "bf16-mixed")
    assert cfg.trainer._target_ == "lightning.Trainer"


@pytest.mark.parametrize(
    ("bf16", "capability", "precision"),
    [(True, (8, 0), "bf16-mixed"), (False, (7, 0), "16-mixed"), (False, (6, 1), "32-true")],
)
def test_the_precision_of_a_gpu(monkeypatch: pytest.MonkeyPatch, bf16: bool, capability: tuple, precision: str):
    """An H100, a V100 and a GTX 1080."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert composed("trainer=gpu").trainer.precision == precision


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_builds_and_says_what_to_expect(name: str):
    cfg = composed(f"experiment={name}")
    for node in (cfg.model, cfg.loss, cfg.head, cfg.data):
        build(node)
    head = (CONFIGS / "experiment" / f"{name}.yaml").read_text().split("defaults:")[0]
    for word in ("Paper:", "Expected:", "Hardware:", "Command:"):
        assert word in head, f"experiment/{name}.yaml does not say {word}"


def test_every_callback_and_logger_builds(tmp_path: Path):
    cfg = composed("logger=[tensorboard,csv]")  # wandb is an extra: tests/training/test_loggers.py
    assert [build(node) for node in cfg.callbacks.values()]  # type: ignore[union-attr]
    assert [build(node, save_dir=str(tmp_path)) for node in cfg.logger.values()]  # type: ignore[union-attr]
