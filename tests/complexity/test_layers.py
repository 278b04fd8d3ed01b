"""Where it goes: every parameter, operation and moment belongs to one module."""

import time

import pytest
import torch
from torch import nn

from spt.complexity.layers import draw, group, layers, time_modules
from spt.complexity.profile import profile
from spt.models import SpTUNet


@pytest.mark.parametrize(
    ("path", "depth", "name"), [("a.b.c", 2, "a.b"), ("a", 2, "a"), ("", 2, "(network)"), ("a.b", 1, "a")]
)
def test_groups(path, depth, name):
    assert group(path, depth) == name


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_rows_add_up_to_the_whole(depth):
    model, x = SpTUNet(width=4), torch.zeros(2, 1, 32, 32)
    sheet, whole = layers("spt_unet", model, 32, 2, depth, repeats=1), profile(model, x)
    assert sum(row["parameters"] for row in sheet.rows) == sum(p.numel() for p in model.parameters())
    assert sum(row["GMAC"] for row in sheet.rows) == pytest.approx(whole.macs / 2e9)
    assert sum(row["Gop"] for row in sheet.rows) == pytest.approx((whole.flops + whole.other) / 2e9)
    assert sum(row["MB moved"] for row in sheet.rows) == pytest.approx(whole.bytes / 2e6)
    for share in ("parameters", "operations", "bytes", "time"):
        assert sum(row[f"{share}, %"] for row in sheet.rows) == pytest.approx(100, abs=0.5)


class Slow(nn.Module):
    def forward(self, x):
        time.sleep(0.2)
        return x


def test_time_belongs_to_the_module_that_spends_it():
    model = nn.Sequential(nn.Sequential(nn.Identity(), Slow()), nn.Identity())
    seconds = time_modules(model, torch.zeros(1, 1, 8, 8), depth=2, repeats=3)
    assert seconds["0.1"] >= 0.2 > max(seconds["0.0"], seconds["1"], seconds["0"])


def test_timing_leaves_mode_and_statistics():
    model = nn.Sequential(nn.BatchNorm2d(1)).train()
    time_modules(model, torch.rand(2, 1, 8, 8), 1, 2)
    assert model.training
    assert model[0].num_batches_tracked == 0


def test_the_picture_is_drawn(tmp_path):
    draw(layers("net", SpTUNet(width=4), 32, 1, repeats=1), tmp_path / "new" / "layers.png")
    assert (tmp_path / "new" / "layers.png").read_bytes().startswith(b"\x89PNG")
