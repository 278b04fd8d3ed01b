"""The notes' backbones: printed figures, and a few counted here; all of them in the slow test."""

import pytest

from spt.complexity.notes_figures import read
from spt.complexity.profile import profile
from spt.complexity.survey import build_backbone, survey, with_modules

ABSENT = {"bninception", "cafferesnet101", "fbresnet152", "nasnetamobile", "polynet"}


def test_the_notes_print_91_rows_and_each_has_a_source_or_is_said_to_have_none():
    printed, sources = read("backbones_printed.csv"), {row["model"]: row for row in read("backbones.csv")}
    assert len(printed) == 91
    assert {row["model"] for row in printed} == set(sources)
    assert {name for name, row in sources.items() if not row["library"]} == ABSENT
    assert all(sources[name]["note"] for name in ABSENT)
    assert sum(row["model"] not in ABSENT for row in printed) == 86


def counted(library: str, name: str, px: int):
    import torch

    model = build_backbone(library, name)
    return sum(p.numel() for p in model.parameters()), profile(model, torch.empty(1, 3, px, px, device="meta"))


@pytest.mark.parametrize(
    ("library", "name", "parameters", "macs", "with_the_modules"),
    [
        ("torchvision", "alexnet", 61.1, 0.72, 0.72),
        ("torchvision", "resnet18", 11.69, 1.82, 1.82),
        ("torchvision", "vgg11_bn", 132.87, 7.64, 7.64),
        ("timm", "legacy_seresnet50", 28.09, 3.9, 3.9),
    ],
)
def test_backbones_within_a_hundredth_and_two_percent(library, name, parameters, macs, with_the_modules):
    count, cost = counted(library, name, 224)
    assert count / 1e6 == pytest.approx(parameters, abs=0.01)
    assert cost.macs / 1e9 == pytest.approx(macs, rel=0.02)
    assert with_modules(cost) / 1e9 == pytest.approx(with_the_modules, rel=0.007)
    assert not cost.uncounted


def test_ptflops_convention_by_hand():
    import torch
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    cost = profile(model, torch.zeros(1, 3, 8, 8))
    assert with_modules(cost) == 4 * 64 * 27 + 4 * 64 + 2 * 4 * 64 + 4 * 64 + 4 * 64


def test_the_exact_counts_of_the_second_note():
    assert sum(p.numel() for p in build_backbone("cifar", "resnet50").parameters()) == 23_705_252
    assert sum(p.numel() for p in build_backbone("timm", "efficientnet_b0").parameters()) == 5_288_548
    assert sum(p.numel() for p in build_backbone("timm", "rexnet_100").parameters()) == 4_796_873


@pytest.mark.slow
def test_every_row():
    sheet, exact = survey()
    measured = [row for row in sheet.rows if row["ours"] is not None]
    assert len(measured) == 86 >= 80
    assert all(abs(row["diff."]) <= 0.01 for row in measured)
    far = {row["model"] for row in measured if abs(row["GMAC"] / row["GMAC printed"] - 1) > 0.02}
    assert far == {"squeezenet1_1"}
    assert all(row["note"] for row in measured if row["model"] in far)
    # Within 0.71 %, and half a digit of the sheet's own rounding.
    assert all(abs(row["+ modules"] - row["GMAC printed"]) <= 0.0071 * row["GMAC printed"] + 5e-4 for row in measured)
    assert [row["difference"] for row in exact.rows] == [0, 0, 0]
