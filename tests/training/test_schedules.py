"""Learning rate and weight decay, step by step."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from spt.models import DeepSpeckle
from spt.training.schedules import Constant, WarmupCosine, parameter_groups


def rates(scheduler_class: type, steps: int, **settings: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = scheduler_class(optimizer, steps, **settings)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_warm_up_is_linear_and_the_rest_half_a_cosine():
    got = rates(WarmupCosine, 10, warmup=0.4, final=0.1)
    assert got[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    along = [k / 6 for k in range(6)]
    assert got[4:] == pytest.approx([2 * (0.1 + 0.9 * (1 + math.cos(math.pi * a)) / 2) for a in along])


def test_the_rate_stays_at_its_end_after_the_last_step():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = WarmupCosine(optimizer, 4, warmup=0.0, final=0.25)
    for _ in range(9):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def test_constant():
    assert rates(Constant, 5) == [2.0] * 5


@pytest.mark.parametrize("settings", [{"warmup": 1.0}, {"warmup": -0.1}, {"final": 1.1}])
def test_shares_out_of_range_are_refused(settings: dict[str, float]):
    with pytest.raises(ValueError, match="0 <= warmup < 1 and 0 <= final <= 1"):
        rates(WarmupCosine, 5, **settings)


def test_only_kernels_decay():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    model[1].bias.requires_grad_(False)
    kernels, vectors = parameter_groups(model)
    assert [p.ndim for p in kernels["params"]] == [4]
    assert len(vectors["params"]) == 2  # the convolution's bias, the norm's weight; the frozen bias is left out
    optimizer = torch.optim.AdamW([kernels, vectors], weight_decay=0.3)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_the_networks_own_groups_win():
    class Particular(nn.Conv2d):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": [self.bias], "weight_decay": 0.7}, {"params": [self.weight], "lr": 1.0}]

    model = Particular(1, 2, 3)
    biases, kernels = torch.optim.AdamW(parameter_groups(model), lr=2.0, weight_decay=0.3).param_groups
    assert biases["params"][0] is model.bias
    assert (biases["weight_decay"], biases["lr"]) == (0.7, 2.0)
    assert kernels["params"][0] is model.weight
    assert (kernels["weight_decay"], kernels["lr"]) == (0.3, 1.0)


def test_own_groups_of_a_part_are_not_the_networks():
    class Part(nn.Conv2d):
        def parameter_groups(self) -> list[dict[str, Any]]:
            raise NotImplementedError

    assert len(parameter_groups(nn.Sequential(Part(1, 2, 3)))) == 2


def test_deep_speckle_brings_twice_its_l2_and_every_parameter_once():
    model = DeepSpeckle(l2=0.01)
    groups = parameter_groups(model)
    assert [group["weight_decay"] for group in groups] == [0.02, 0.0]
    given = [id(p) for group in groups for p in group["params"]]
    assert len(given) == len(set(given))
    assert set(given) == {id(p) for p in model.parameters()}
