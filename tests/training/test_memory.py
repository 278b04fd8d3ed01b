import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache

import pytest
import torch
from conftest import ROOT, composed
from hydra.utils import instantiate
from torch import Tensor, nn

from spt.models import SpTUNet, TimmUNet
from spt.training import memory
from spt.training.memory import checkpoint_activations

NAMES = sorted(path.stem for path in (ROOT / "configs" / "model").glob("*.yaml"))
NETWORKS = [*NAMES, "spt_unet model.sampling=plain", "timm_unet model.encoder=convnext_atto"]


@cache
def built(name: str) -> nn.Module:
    overrides = f"model={name}".split()
    if "width" in composed(*overrides).model:
        overrides.append("model.width=8")
    torch.manual_seed(0)
    return instantiate(composed(*overrides).model).double()


@pytest.fixture(scope="module", autouse=True)
def _forget():
    yield
    built.cache_clear()


def network(name: str) -> nn.Module:
    """A network in double precision, narrow where it has a width."""
    return copy.deepcopy(built(name))


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    """The same network without and with checkpointing."""
    model = network(name)
    twin = copy.deepcopy(model)
    checkpoint_activations(twin)
    return model, twin


def speckle(h: int = 32, w: int = 32, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(2, 1, h, w, dtype=dtype, generator=torch.Generator().manual_seed(1))


def step(model: nn.Module) -> Tensor:
    """One training step with the dropout of seed 3; returns the loss."""
    torch.manual_seed(3)
    loss = model(speckle()).square().mean()
    loss.backward()
    return loss.detach()


def close(given: Tensor, expected: Tensor, what: str) -> None:
    torch.testing.assert_close(given, expected, atol=1e-10, rtol=1e-10, msg=lambda m: f"{what}: {m}")


def batches(model: nn.Module) -> set[int]:
    """How many batches the BatchNorms have counted."""
    return {int(v) for k, v in model.named_buffers() if k.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_is_the_same_with_and_without(name):
    model, twin = twins(name)
    close(step(twin), step(model), "loss")
    for (key, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        close(q.grad, p.grad, key)
    for (key, b), c in zip(model.named_buffers(), twin.buffers(), strict=True):
        close(c, b, key)
    assert batches(twin) == {1}
    assert twin.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_and_the_weights_names_are_unchanged(name):
    model, twin = twins(name)
    model.eval()
    twin.eval()
    with torch.no_grad():
        assert torch.equal(twin(speckle()), model(speckle()))
    twin.load_state_dict(model.state_dict(), strict=True)
    model.load_state_dict(twin.state_dict(), strict=True)


def test_settings_of_the_batch_norms_are_put_back():
    model, twin = twins("spt_unet")
    step(twin)
    for before, after in zip(model.modules(), twin.modules(), strict=True):
        if isinstance(before, nn.BatchNorm2d):
            assert (after.momentum, after.track_running_stats) == (before.momentum, before.track_running_stats)
            assert after.training
            assert isinstance(after.running_mean, Tensor)


def test_statistics_would_be_updated_twice_without_the_freezing(monkeypatch: pytest.MonkeyPatch):
    # Says that the tests above see the difference.
    monkeypatch.setattr(memory, "_frozen_statistics", lambda stage: nullcontext())
    _, twin = twins("spt_unet")
    step(twin)
    assert 2 in batches(twin)


def passes(model: nn.Module, part: nn.Module, run: Callable[[nn.Module], object]) -> int:
    """How often ``part`` runs while ``run`` does."""
    count = []
    hook = part.register_forward_pre_hook(lambda _, args: count.append(1))
    run(model)
    hook.remove()
    return len(count)


@pytest.mark.parametrize(("checkpointing", "expected"), [(False, 1), (True, 2)])
def test_a_stage_runs_again_in_the_backward_pass(checkpointing, expected):
    model = network("spt_unet")
    if checkpointing:
        checkpoint_activations(model)
    for part in (model.stem[0], model.down3.puff[0], model.encoder3.attention.body.query, model.head[0]):
        assert passes(model, part, step) == expected


def test_a_stage_runs_once_where_nothing_is_trained():
    model = network("spt_unet")
    checkpoint_activations(model)

    def without_gradients(model: nn.Module) -> None:
        with torch.no_grad():
            model(speckle())

    assert passes(model, model.stem[0], without_gradients) == 1
    assert batches(model) == {1}
    assert passes(model.eval(), model.stem[0], without_gradients) == 1


@pytest.mark.parametrize("name", ["sa_cnn", "deep_speckle", "timm_unet"])
def test_entries_of_a_list_are_stages(name):
    # Each level on its own, not all of them at once: only one level's activations are ever alive.
    _, twin = twins(name)
    lists = [child for child in twin.children() if isinstance(child, nn.ModuleList | nn.ModuleDict)]
    assert lists
    for entry in (entry for child in lists for entry in child.children()):
        assert ("forward" in vars(entry)) == (next(entry.parameters(), None) is not None)
    assert not any("forward" in vars(child) for child in lists)


def saved_bytes(model: nn.Module, x: Tensor) -> int:
    """Bytes that the forward pass keeps for the backward pass, the weights themselves not counted."""
    storages = {}

    def pack(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        storages[storage.data_ptr()] = storage  # keeping it, so that no address comes twice
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(x)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    return sum(storage.nbytes() for address, storage in storages.items() if address not in own)


@pytest.mark.parametrize("build", [lambda: SpTUNet(width=16), lambda: TimmUNet("convnext_atto")], ids=["spt", "timm"])
def test_less_than_half_is_kept_for_the_backward_pass(build):
    torch.manual_seed(0)
    model, x = build(), speckle(64, 64, torch.float32)
    without = saved_bytes(model, x)
    checkpoint_activations(model)
    given = saved_bytes(model, x)
    assert x.nbytes < given < without / 2


def test_what_is_kept_of_the_spt_unet_is_the_inputs_of_its_stages():
    # Width 16, two images of 64 px, in units of one map of 16 channels at full size. Inputs: down1 and up1's skip x1
    # (1, shared), down2 and x2 (1/2), encoder2 and down3, x3 (2 x 1/4), encoder3 and up3 (2 x 1/8), decoder3 and up2
    # (2 x 1/4), decoder2 and up1 (2 x 1/2), head (1).
    model, x = SpTUNet(width=16), speckle(64, 64, torch.float32)
    checkpoint_activations(model)
    unit = 16 * 2 * 64 * 64 * 4
    assert saved_bytes(model, x) == pytest.approx(
        x.nbytes + unit * (1 + 1 / 2 + 2 / 4 + 2 / 8 + 2 / 4 + 2 / 2 + 1), rel=0.01
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_with_autocast_the_gradients_are_near_those_without_checkpointing(name):
    gradients = []
    for model in twins(name):
        model.float()
        torch.manual_seed(3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(speckle(dtype=torch.float32))
        logits.float().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert (gradients[1] - gradients[0]).norm() <= 1e-3 * gradients[0].norm()


def test_a_copy_of_a_network_recomputes_its_own_stages():
    _, twin = twins("spt_unet")
    other = copy.deepcopy(twin)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    assert step(other) > 0
    assert all(p.grad is None for p in twin.parameters())
