"""Where it goes: every parameter, operation and moment belongs to one module."""

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
    """Takes so many seconds in each pass, on a clock of the test, and then calls its child."""

    def __init__(self, clock: list[float], *seconds: float, child: nn.Module | None = None) -> None:
        super().__init__()
        self.clock, self.seconds, self.child = clock, iter(seconds), child or nn.Identity()

    def forward(self, x):
        self.clock[0] += next(self.seconds, 0.0)
        return self.child(x)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so."""
    now = [0.0]
    monkeypatch.setattr("spt.complexity.layers.timer", lambda: now[0])
    return now


def test_time_belongs_to_the_module_that_spends_it(clock):
    model = nn.Sequential(nn.Sequential(nn.Identity(), Slow(clock, 9, 5)), nn.Identity())
    seconds = time_modules(model, torch.zeros(1, 1, 8, 8), depth=2, repeats=1)
    assert {name: spent for name, spent in seconds.items() if spent} == {"0.1": 5}


def test_the_first_pass_warms_up_and_the_median_of_the_others_counts(clock):
    model = nn.Sequential(Slow(clock, 100, 1, 2, 9))
    assert time_modules(model, torch.zeros(1, 1, 8, 8), depth=1, repeats=3)["0"] == 2


def test_a_containers_own_time_is_the_networks(clock):
    passes_on = Slow(clock, 0, 0, 3, child=nn.Conv2d(1, 1, 1))  # the first pass counts operations, the second warms up
    model = nn.Sequential(nn.ReLU(), passes_on)
    sheet = layers("net", model, 8, 1, depth=2, repeats=1)
    assert "1" not in [row["module"] for row in sheet.rows]
    assert sum(row["ms"] for row in sheet.rows) == 3000


def test_timing_leaves_mode_and_statistics():
    model = nn.Sequential(nn.BatchNorm2d(1)).train()
    time_modules(model, torch.rand(2, 1, 8, 8), 1, 2)
    assert model.training
    assert model[0].num_batches_tracked == 0


def test_the_picture_is_drawn(tmp_path):
    draw_shares(layers("net", Net(), 32, 1, repeats=1), tmp_path / "new" / "layers.png")
    assert (tmp_path / "new" / "layers.png").read_bytes().startswith(b"\x89PNG")
