"""Exponents of growth on known laws, on the networks and on real runs; Table 1 of Attention Is All You Need."""

from functools import partial

import pytest
import torch
from scipy.stats import linregress
from torch import nn

from spt.complexity import scaling
from spt.complexity.profile import profile
from spt.models import SACNN, SpTUNet


def test_a_power_law_is_found_exactly():
    assert scaling.fit_power([1, 2, 4, 8], [3 * x**1.5 for x in (1, 2, 4, 8)]) == (
        pytest.approx(1.5),
        pytest.approx(0, abs=1e-12),
    )


def test_the_error_is_that_of_linear_regression():
    x, y = torch.arange(1.0, 9), torch.tensor([1.1, 1.9, 3.2, 3.8, 5.3, 5.9, 7.2, 7.7])
    known = linregress(x.log(), y.log())
    assert scaling.fit_power(x.tolist(), y.tolist()) == (pytest.approx(known.slope), pytest.approx(known.stderr))


def growth(model: nn.Module) -> float:
    """How many times more MACs 16 times the pixels take."""
    small, large = (profile(model, torch.zeros(1, 1, px, px)).macs for px in (64, 256))
    return large / small


def test_spt_unet_is_linear_in_pixels_and_full_attention_is_not():
    assert growth(SpTUNet(width=8)) == 16
    assert growth(SACNN(width=8)) > 16**1.2


def test_quantities_with_fewer_than_three_points_are_not_fitted():
    rows = [{"network": "a", "px": px, "batch": 1, "MACs": px**3, "time": 1.0} for px in (64, 128, 256)]
    rows[2]["time"] = None
    fitted, points = scaling.growth_sheets(rows)
    (fit,) = fitted.rows
    assert (fit["over"], fit["quantity"], fit["exponent"], fit["how"]) == ("pixels", "MACs", 1.5, "counted")
    assert [row["time"] for row in points.rows] == [1.0, 1.0, None]


@pytest.mark.slow
def test_real_runs_are_measured_and_sizes_that_do_not_fit_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "SIZES", (64, 128, 100, 256))
    monkeypatch.setattr(scaling, "TIMED", (128, 256))
    monkeypatch.setattr(scaling, "BATCHES", (1, 2, 4))
    rows = scaling.points({"small": partial(SpTUNet, width=16)}, repeats=1)
    assert [(row["px"], row["batch"]) for row in rows] == [(64, 1), (128, 1), (256, 1), (64, 2), (64, 4)]
    small, large = rows[1:3]
    assert small["time"] > 0
    assert 2 < large["peak memory"] / small["peak memory"] < 6
    assert 0.5 < large["peak memory"] / large["tensors alive"] < 2
    fitted, points = scaling.growth_sheets(rows)
    (found,) = [r for r in fitted.rows if (r["over"], r["quantity"]) == ("batch", "MACs")]
    assert (found["exponent"], found["error"], found["how"]) == (1, 0, "counted")
    assert len(points.rows) == 5
    scaling.draw_growth(rows, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


# Table 1 of Attention Is All You Need ---------------------------------------------------------------------------------


def test_the_table_in_numbers():
    assert [tuple(row.values()) for row in scaling.layer_types(n=64, d=8, k=4, r=16).rows] == [
        ("self-attention", 64 * 64 * 8, 1, 1),
        ("recurrent", 64 * 64, 64, 64),
        ("convolutional", 4 * 64 * 64, 1, pytest.approx(3)),
        ("restricted self-attention", 16 * 64 * 8, 1, 4),
    ]


@pytest.mark.parametrize("numbers", [(0, 1, 2, 1), (4, 0, 2, 1), (4, 1, 1, 1), (4, 1, 2, 5), (4, 1, 2, 0)])
def test_numbers_out_of_range(numbers):
    with pytest.raises(ValueError, match="layer_types needs"):
        scaling.layer_types(*numbers)


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


def macs(layer: nn.Module, *shape: int) -> int:
    return profile(layer, torch.zeros(shape)).macs


@pytest.mark.parametrize(("n", "d"), [(16, 8), (64, 8), (16, 32)])
def test_real_layers_grow_as_the_table_says(n, d):
    attention, recurrent, convolution, _ = (
        row["complexity per layer"] for row in scaling.layer_types(n, d, k=3, r=4).rows
    )
    assert macs(Attention(), 1, n, d) == 2 * attention
    assert macs(nn.RNN(d, d, bias=False), n, 1, d) == 2 * recurrent
    assert macs(nn.Conv1d(d, d, 3, padding=1), 1, d, n) == convolution


def test_a_recurrent_layer_is_sequential_and_attention_is_not():
    depths = [profile(nn.RNN(4, 4), torch.zeros(n, 1, 4)).depth for n in (8, 16)]
    assert depths[1] - depths[0] >= 8
    assert [profile(Attention(), torch.zeros(1, n, 4)).depth for n in (8, 16)] == [1, 1]
