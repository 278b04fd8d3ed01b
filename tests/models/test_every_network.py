"""What holds for every network of configs/model, whatever it is made of."""

import copy
import re
from functools import cache

import pytest
import torch
from conftest import ROOT, composed
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from spt.errors import InvalidValue
from spt.models import deep_speckle
from spt.training.schedules import parameter_groups

NAMES = sorted(path.stem for path in (ROOT / "configs" / "model").glob("*.yaml"))
NETWORKS = [*NAMES, "spt_unet model.sampling=plain"]
HALF = [pytest.param(name, marks=pytest.mark.slow) if name == "deep_speckle" else name for name in NETWORKS]
"""Half precision is slow on a CPU: the dilated convolutions wait for the slow tests."""
SMALL = {"timm_unet": ["model.encoder=test_resnet", "model.decoder_channels=[32,16,16,8,8]"]}
"""Overrides that make a network without a width small."""


DIVISORS = {"spt_unet": 8, "spt_unet_b": 8, "deep_speckle": 16, "sa_cnn": 32, "sa_cnn_single": 32}


@cache
def config(name: str) -> DictConfig:
    """The configuration of a small network."""
    overrides = f"model={name}".split() + SMALL.get(name, [])
    cfg = composed(*overrides)
    return composed(*overrides, "model.width=8") if "width" in cfg.model else cfg


@cache
def built(name: str, trained: bool) -> nn.Module:
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep_speckle, "ENCODER", (8, 12, 16, 24, 32))
        patch.setattr(deep_speckle, "DECODER", (24, 16, 12, 8))
        model = instantiate(config(name).model)
    if trained:
        with torch.no_grad():
            model(speckle(4, seed=5))
    return model


@pytest.fixture(scope="module", autouse=True)
def _forget():
    yield
    built.cache_clear()


def network(name: str) -> nn.Module:
    return copy.deepcopy(built(name, False))


def used(name: str) -> nn.Module:
    """A network in evaluation mode whose BatchNorm statistics are no longer the identity."""
    return copy.deepcopy(built(name, True)).eval()


def speckle(batch: int = 2, h: int = 64, w: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(batch, 1, h, w, generator=torch.Generator().manual_seed(seed))


def needs_half_precision() -> None:
    try:
        nn.Conv2d(1, 1, 3).half()(torch.zeros(1, 1, 4, 4).half())
    except RuntimeError as error:
        pytest.skip(f"this torch has no float16 convolution on the CPU: {error}")


def finite_gradients(model: nn.Module) -> None:
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_has_a_finite_gradient(name):
    model = network(name)
    model(speckle()).square().mean().backward()
    finite_gradients(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_moves_within_three_steps(name):
    # Not within one: gates and residuals that start at 0 first have to open. A key's bias the softmax cannot see.
    model = network(name)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(speckle(2, 32, 64)).square().mean().backward()
        optimizer.step()
    for k, p in model.named_parameters():
        assert k.endswith("key.bias") or not torch.equal(p, before[k]), k


@pytest.mark.parametrize("name", NETWORKS)
def test_the_input_has_a_gradient_everywhere(name):
    x = speckle().requires_grad_()
    used(name)(x).square().mean().backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).float().mean() > 0.99


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_is_deterministic_and_leaves_network_and_input_alone(name):
    model, x = used(name), speckle()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
    assert torch.equal(x, speckle())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_dict_carries_the_whole_network(name):
    model, other, x = used(name), network(name).eval(), speckle()
    with torch.no_grad():
        assert not torch.equal(other(x), model(x))
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch(name):
    model, x = used(name), speckle(3, 32, 64)
    with torch.no_grad():
        alone = torch.cat([model(x[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(alone, model(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_equals_contiguous(name):
    model, x = used(name), speckle()
    with torch.no_grad():
        expected = model(x)
        model = model.to(memory_format=torch.channels_last)
        given = model(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_stays_near_float32_and_trains(name):
    stays_near_and_trains(name, torch.bfloat16, 0.1)


@pytest.mark.parametrize("name", HALF)
def test_float16_stays_near_float32_and_trains(name):
    needs_half_precision()
    stays_near_and_trains(name, torch.float16, 0.02)


def stays_near_and_trains(name: str, dtype: torch.dtype, tolerance: float) -> None:
    model, x = used(name), speckle(2, 32, 32)
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", dtype=dtype):
            rough = model(x).float()
    assert rough.isfinite().all()
    assert 0 < (rough - exact).norm() < tolerance * exact.norm()
    model.train()
    with torch.autocast("cpu", dtype=dtype):
        logits = model(x)
    logits.float().square().mean().backward()
    finite_gradients(model)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_optimizer_moves_every_parameter(name: str, optimizer: str):
    """And to numbers: three steps at the default learning rate, with the network's own groups."""
    model, cfg = network(name).train(), composed(f"optimizer={optimizer}").optimizer
    before = {key: value.clone() for key, value in model.named_parameters()}
    chosen = instantiate(cfg)(parameter_groups(model))
    for seed in range(3):
        chosen.zero_grad()
        model(speckle(seed=seed)).square().mean().backward()
        chosen.step()
    for key, value in model.named_parameters():
        assert value.isfinite().all(), key
        assert value.grad.abs().max() < 1e-6 or not torch.equal(value, before[key]), key


@pytest.mark.slow
@pytest.mark.usefixtures("own_checks")
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_equals_eager(name):
    torch._dynamo.reset()
    model, x = used(name), speckle()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("own_checks")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_pass_is_one_graph(name):
    """Forward and backward, in training mode, where BatchNorm and dropout change something."""
    torch._dynamo.reset()
    model = network(name).train()
    torch.compile(model, backend="eager", fullgraph=True)(speckle()).sum().backward()
    finite_gradients(model)


class Operations(TorchDispatchMode):
    """Remembers the name of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as Lightning does for deterministic=true
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("spt_unet_b", "sa_cnn_single")])
def test_no_network_calls_an_operation_that_deterministic_algorithms_refuse_on_cuda(name, deterministic):
    # Fake tensors take the way of a GPU without one. The list is that of torch.use_deterministic_algorithms; bilinear
    # upsampling is on it, but torch replaces it by other operations when the setting is on.
    refused = ("adaptive_avg_pool", "avg_pool3d", "adaptive_max_pool", "upsample_linear", "upsample_bilinear")
    refused += ("upsample_bicubic", "reflection_pad", "nll_loss", "ctc_loss", "put_", "median", "grid_sampler")
    model = network(name)
    with FakeTensorMode(allow_non_fake_inputs=True), Operations() as seen:
        state = {k: torch.empty(v.shape, dtype=v.dtype, device="cuda") for k, v in model.state_dict().items()}
        logits = functional_call(model, state, torch.empty(2, 1, 96, 160, device="cuda"))
    assert logits.device.type == "cuda"
    assert "aten::convolution" in seen.names
    assert not [operation for operation in seen.names if any(part in operation for part in refused)]


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_deterministic_algorithms_allow_training_on_cuda_and_repeat_it(name, deterministic):
    gradients = []
    for _ in range(2):
        torch.manual_seed(0)
        model = network(name).cuda()
        model(speckle(2, 96, 160).cuda()).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "timm_unet"])
def test_one_image_of_one_deepest_pixel_is_refused_in_training_alone(name):
    divisor = DIVISORS[name.split()[0]]
    x = torch.zeros(1, 1, divisor, divisor)
    with pytest.raises(InvalidValue, match=rf"of one {divisor}x{divisor} image .* Set data\.batch_size to 2 or more"):
        network(name)(x)
    with torch.no_grad():
        assert network(name)(torch.zeros(1, 1, divisor, 2 * divisor)).isfinite().all()
        assert network(name).eval()(x).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_refused_size_names_two_that_work(name):
    model = network(name).eval()
    with pytest.raises(InvalidValue, match=r"multiples of \d+, got 52x84\. Nearest sizes that work: ") as refusal:
        model(torch.zeros(1, 1, 52, 84))
    divisor, *sides = map(int, re.findall(r"\d+", str(refusal.value).split("multiples of ")[1].replace("52x84", "")))
    down, up = sides[:2], sides[2:]
    assert down == [n // divisor * divisor for n in (52, 84)]
    assert up == [-(-n // divisor) * divisor for n in (52, 84)]
    with torch.no_grad():
        for h, w in (down, up):
            assert model(speckle(1, h, w)).shape[2:] == (h, w)
        with pytest.raises(ValueError, match=f"multiples of {divisor}"):
            model(torch.zeros(1, 1, divisor + divisor // 2, divisor))
        assert model(speckle(1, divisor, 3 * divisor)).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_convolution_writes_the_heads_channels_and_has_a_bias(name):
    # Where set_output_prior puts the share of lit pixels.
    model, cfg = network(name).eval(), config(name)
    last = [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1]
    assert last.out_channels == cfg.head.channels
    assert last.bias is not None
    with torch.no_grad():
        before = model(speckle())
        last.bias += torch.arange(1.0, last.out_channels + 1)
        shift = model(speckle()) - before
    expected = torch.arange(1.0, last.out_channels + 1)[:, None, None].expand_as(shift)
    torch.testing.assert_close(shift, expected, atol=1e-5, rtol=1e-5)
