"""What a run is built of fits together, or is refused before data are made."""

import copy
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT, composed
from omegaconf import OmegaConf
from torch import nn

from spt.errors import InvalidValue
from spt.heads import BinaryHead, TwoClassHead
from spt.losses import CELoss
from spt.run.building import build
from spt.run.parts import build_parts, check_loss, check_model
from spt.training.module import SpeckleModule


def test_a_network_whose_logits_do_not_fit_the_head_is_refused():
    with pytest.raises(ValueError, match=r"to \(1, 2, 16, 16\), but the head expects \(1, 1, 16, 16\)"):
        check_model(torch.nn.Conv2d(1, 2, 1), (1, 16, 16), 1)


@pytest.mark.parametrize("training", [True, False])
def test_the_check_leaves_the_network_as_it_was(training: bool):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train(training)
    check_model(model, (1, 16, 16), 1)
    assert model.training == model[1].training == training
    assert model[1].num_batches_tracked == 0
    assert all(p.grad is None for p in model.parameters())


def test_a_loss_that_does_not_fit_head_or_size_is_refused():
    with pytest.raises(ValueError, match=r"^CELoss does not go with head=binary; it goes with head=two_class or head="):
        check_loss(CELoss(), BinaryHead(), (64, 64))
    with pytest.raises(ValueError, match=r"images of 8x8 px are smaller than the window of SSIM\. Use 11 px or more"):
        check_loss(CELoss(), TwoClassHead(), (8, 8))
    check_loss(CELoss(), TwoClassHead(), (11, 11))


def test_a_batch_of_one_is_tried_in_training_mode():
    """At 32 px the deepest map of resnet18 is one pixel: BatchNorm has one value a channel."""
    model = build(composed("model=timm_unet").model)
    with pytest.raises(InvalidValue, match=r"BatchNorm cannot train on one value\. Set data\.batch_size to 2 or more"):
        check_model(model, (1, 32, 32), 1, batch_size=1)
    check_model(model, (1, 32, 32), 1, batch_size=2)


# Every network with every loss ----------------------------------------------------------------------------------------

MODELS, LOSSES, HEADS = (
    sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml")) for group in ("model", "loss", "head")
)


@cache
def losses_of(head: str) -> dict[str, nn.Module]:
    """Every loss that goes with a head, as configured there."""
    config, built = composed(f"head={head}"), {}
    for name in LOSSES:
        content = OmegaConf.load(ROOT / "configs" / "loss" / f"{name}.yaml")
        content.pop("defaults", None)  # what they choose is the head
        config.loss = content
        built[name] = build(config.loss)
    return {name: loss for name, loss in built.items() if head in loss.heads}


@cache
def has_width(name: str) -> bool:
    """Whether a network of configs/ can be made narrow."""
    return "width" in composed(f"model={name}").model


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    # Of the wide ones, deep speckle (21,850,530 parameters) and the encoder of timm wait for the slow tests.
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ("deep_speckle", "timm_unet") else ()) for name in MODELS],
)
def test_two_steps_of_every_network_with_every_loss_that_fits_the_head(name: str, head: str):
    width = 2 if name.startswith("sa_cnn") else 8
    narrow = [f"model.width={width}"] if has_width(name) else []
    cfg = composed(f"model={name}", f"head={head}", *narrow)
    model, read = build(cfg.model), build(cfg.head)
    check_model(model, (1, 32, 32), read.channels)
    initial = copy.deepcopy(model.state_dict())
    speckle, image = torch.randn(2, 1, 32, 32), (torch.rand(2, 1, 32, 32) > 0.9).float()
    assert losses_of(head)
    for key, loss in losses_of(head).items():
        model.load_state_dict(initial)
        module = SpeckleModule(
            model, loss, read, build(cfg.optimizer), build(cfg.scheduler), ["val_seen"], (32, 32), {}
        )
        check_loss(module.loss, module.head, (32, 32))
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


def test_the_folder_of_a_run_holds_all_that_is_cached(tmp_path):
    parts = build_parts(composed("model.width=4", f"cache={tmp_path}"))
    assert parts.data.cache_folder == tmp_path
    assert parts.data.source.path.parent == tmp_path
