"""Counting a network: nothing changes in it, nothing is left out in silence."""

import warnings

import pytest
import torch
from torch import nn

from spt.complexity.profile import profile
from spt.models import SACNN, SpTUNet


class Block(nn.Module):
    """BatchNorm, dropout and a nested module in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.frozen = nn.BatchNorm2d(4).eval()

    def forward(self, x):
        return self.frozen(self.first(x))


class Branch(nn.Module):
    """Costs twice as much for a bright image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        x = self.norm(self.conv(x))
        return self.conv(x) if x.sum() > -1e9 else x


def state(model: nn.Module) -> dict:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("build", [Block, Branch])
@pytest.mark.filterwarnings("ignore:Branch")
def test_counting_changes_nothing(build):
    model = build().train()
    x = torch.rand(2, 1, 8, 8)
    before, modes, random = state(model), [m.training for m in model.modules()], torch.get_rng_state()
    hooks = len(nn.modules.module._global_forward_pre_hooks)
    profile(model, x)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert len(nn.modules.module._global_forward_pre_hooks) == hooks
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_failure_leaves_the_model_as_it_was():
    model = SpTUNet(width=4).train()
    with pytest.raises(ValueError, match="multiples of 8"):
        profile(model, torch.zeros(1, 1, 30, 30))
    assert all(m.training for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert not nn.modules.module._global_forward_pre_hooks


def test_an_image_costs_the_same_in_every_batch():
    with torch.device("meta"):
        model = SACNN(width=8)
    one, two = (profile(model, torch.empty(n, 1, 64, 64, device="meta")) for n in (1, 2))
    assert 2 * one.macs == two.macs > 0
    for category in ("normalisation", "activation", "pooling", "interpolation"):
        assert 2 * one.of(category).other == two.of(category).other
    assert one.depth == two.depth
    assert one.receptive_field == two.receptive_field


def test_a_network_without_numbers_costs_what_a_real_one_does_and_nothing_is_left_out():
    with torch.device("meta"):
        hollow = SpTUNet(width=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        real = profile(SpTUNet(width=8), torch.zeros(2, 1, 32, 32))
    assert profile(hollow, torch.zeros(2, 1, 32, 32, device="meta")) == real
    assert not real.uncounted
    assert not real.data_dependent


def test_the_dispatcher_agrees_with_a_computed_pass():
    """The same counts on real numbers: what the fake pass says is what runs."""
    model, x = Branch().eval(), torch.rand(1, 1, 8, 8)
    with pytest.warns(UserWarning, match="depends on the data"):
        counted = profile(model, x)
    assert counted.macs == 2 * 64 * 9
    assert counted.of("normalisation").other == 2 * 64


def test_a_program_that_depends_on_the_data_is_counted_once_and_said_so():
    with pytest.warns(UserWarning, match=r"Branch: its program depends on the data \(item\)"):
        counted = profile(Branch(), torch.rand(1, 1, 8, 8))
    assert counted.data_dependent == ("item",)


class Exotic(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x) @ x


def test_an_operator_without_a_known_cost_is_listed():
    with pytest.warns(UserWarning, match=r"Exotic: not counted, cost unknown: linalg_inv_ex \(1x\)"):
        counted = profile(Exotic(), torch.eye(3)[None])
    assert counted.uncounted == {"linalg_inv_ex": 1}
    assert counted.macs == 27


@torch.library.custom_op("spt_test::mystery", mutates_args=())
def mystery(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class Mystery(nn.Module):
    def forward(self, x):
        return mystery(x)


def test_an_operator_of_the_users_own_is_run_and_listed():
    with pytest.warns(UserWarning, match="spt_test::mystery") as said:
        counted = profile(Mystery(), torch.rand(1, 1, 4, 4))
    assert counted.uncounted == {"spt_test::mystery": 1}
    assert any("not counted" in str(w.message) for w in said)


def test_operators_know_their_module():
    counted = profile(Block(), torch.zeros(1, 1, 8, 8))
    assert [(c.operator, c.module) for c in counted.calls if c.operator != "dropout"] == [
        ("convolution", "first.0"),
        ("batch_norm", "first.1"),
        ("batch_norm", "frozen"),
    ]


def test_bytes_follow_the_data_type_and_counts_do_not():
    model, x = nn.Conv2d(1, 4, 3, bias=False), torch.zeros(1, 1, 8, 8)
    half, single, double = (profile(model, x, dtype=t) for t in (torch.float16, torch.float32, torch.float64))
    assert half.macs == single.macs == double.macs
    assert (4 * half.bytes, 2 * single.bytes) == (double.bytes, double.bytes)
    assert (4 * half.activation_bytes, 2 * single.activation_bytes) == (double.activation_bytes,) * 2
    assert model.weight.dtype == torch.float32
