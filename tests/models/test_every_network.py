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

NAMES = sorted(path.stem for path in (ROOT / "configs" / "model").glob("*.yaml"))
NETWORKS = [*NAMES, "spt_unet model.sampling=plain"]
HALF = [pytest.param(name, marks=pytest.mark.slow) if name == "deep_speckle" else name for name in NETWORKS]
"""Half precision is slow on a CPU: the one network without a width waits for the slow tests."""


@cache
def config(name: str) -> DictConfig:
    """The configuration, narrow where it has a width."""
    overrides = f"model={name}".split()
    cfg = composed(*overrides)
    return composed(*overrides, "model.width=8") if "width" in cfg.model else cfg


@cache
def built(name: str, trained: bool) -> nn.Module:
    torch.manual_seed(0)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_equals_eager(name):
    torch._dynamo.reset()
    model, x = used(name), speckle()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_refused_size_names_two_that_work(name):
    model = network(name).eval()
    with pytest.raises(ValueError, match=r"multiples of \d+, got 52x84\. Nearest sizes that work: ") as refusal:
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
