"""Muon takes the precision that the hardware has."""

import pytest
import timm.optim
import torch
from torch import nn

import spt.training.muon
from spt.training.muon import Muon, orthogonal


def a_step(optimizer: type[torch.optim.Optimizer], **settings) -> torch.Tensor:
    torch.manual_seed(0)
    net = nn.Conv2d(8, 16, 3)
    build = optimizer(net.parameters(), lr=0.1, **settings)
    net(torch.randn(2, 8, 9, 9)).square().mean().backward()
    build.step()
    return net.weight.detach()


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    monkeypatch.setattr(spt.training.muon, "has_bfloat16", lambda device: request.param)
    return request.param


@pytest.mark.parametrize("bfloat16", [True], indirect=True)
def test_with_bfloat16_it_is_timms_muon(bfloat16):
    assert torch.equal(a_step(Muon, nesterov=True), a_step(timm.optim.Muon, nesterov=True))


@pytest.mark.parametrize("bfloat16", [False], indirect=True)
def test_without_bfloat16_nothing_is_rounded_to_it(bfloat16):
    update = orthogonal(torch.randn(8, 20), 5, [(3.4445, -4.7750, 2.0315)])
    assert update.dtype == torch.float32
    assert not torch.equal(update, update.bfloat16().float())
    step, rounded = a_step(Muon), a_step(timm.optim.Muon)
    assert not torch.equal(step, rounded)
    assert torch.allclose(step, rounded, atol=0.02 * 0.1)


@pytest.mark.parametrize("bfloat16", [False], indirect=True)
def test_it_solves_what_the_exact_orthogonal_factor_would(bfloat16):
    """More iterations bring U V of the singular value decomposition."""
    matrix = torch.randn(6, 10)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    newton = [(1.5, -0.5, 0.0)]
    assert torch.allclose(orthogonal(matrix, 30, newton), u @ v, atol=1e-5)


def test_timms_own_function_is_back_after_a_step(monkeypatch: pytest.MonkeyPatch):
    timms = timm.optim.muon.zeropower_via_newtonschulz
    a_step(Muon)
    assert timm.optim.muon.zeropower_via_newtonschulz is timms
