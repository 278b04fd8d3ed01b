"""Where it goes: every parameter, operation and moment belongs to one module."""

import time

import pytest
import torch
from torch import nn

from spt.complexity.layers import draw_shares, group, layers, time_modules
from spt.complexity.profile import profile


@pytest.mark.parametrize(
    ("path", "depth", "name"), [("a.b.c", 2, "a.b"), ("a", 2, "a"), ("", 2, "(network)"), ("a.b", 1, "a")]
)
def test_groups(path, depth, name):
    assert group(path, depth) == name


class Net(nn.Module):
    """Modules inside modules, a parameter and an operation of the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.down = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)), nn.ReLU())
        self.up = nn.ModuleDict({"out": nn.Conv2d(4, 1, 1)})
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.up["out"](self.down(self.scale * x)) + x


@pytest.mark.parametrize(
    ("depth", "modules"),
    [
        (1, ["(network)", "down", "up", "unused"]),
        (2, ["(network)", "down.0", "down.1", "up.out", "unused"]),
        (9, ["(network)", "down.0.0", "down.0.1", "down.1", "up.out", "unused"]),
    ],
)
def test_rows_add_up_to_the_whole(depth, modules):
    model, x = Net(), torch.zeros(2, 1, 32, 32)
    sheet, whole = layers("net", model, 32, 2, depth, repeats=1), profile(model, x)
    assert [row["module"] for row in sheet.rows] == modules
    assert sum(row["parameters"] for row in sheet.rows) == sum(p.numel() for p in model.parameters())
    assert sum(row["GMAC"] for row in sheet.rows) == pytest.approx(whole.macs / 2e9)
    assert sum(row["Gop"] for row in sheet.rows) == pytest.approx((whole.flops + whole.other) / 2e9)
    assert sum(row["MB moved"] for row in sheet.rows) == pytest.approx(whole.bytes / 2e6)
    for share in ("parameters", "operations", "bytes", "time"):
        assert sum(row[f"{share}, %"] for row in sheet.rows) == pytest.approx(100, abs=0.5)


class Slow(nn.Module):
    def forward(self, x):
        time.sleep(0.05)
        return x


def test_time_belongs_to_the_module_that_spends_it():
    model = nn.Sequential(nn.Sequential(nn.Identity(), Slow()), nn.Identity())
    seconds = time_modules(model, torch.zeros(1, 1, 8, 8), depth=2, repeats=3)
    assert seconds["0.1"] >= 0.05 > max(seconds["0.0"], seconds["1"], seconds["0"])


def test_timing_leaves_mode_and_statistics():
    model = nn.Sequential(nn.BatchNorm2d(1)).train()
    time_modules(model, torch.rand(2, 1, 8, 8), 1, 2)
    assert model.training
    assert model[0].num_batches_tracked == 0


def test_the_picture_is_drawn(tmp_path):
    draw_shares(layers("net", Net(), 32, 1, repeats=1), tmp_path / "new" / "layers.png")
    assert (tmp_path / "new" / "layers.png").read_bytes().startswith(b"\x89PNG")
