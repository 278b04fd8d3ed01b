"""Exponents of growth: on known laws, on the networks, and on real runs."""

from functools import partial

import pytest
import torch

from spt.complexity import scaling
from spt.complexity.profile import profile
from spt.models import SACNN, SpTUNet


def test_a_power_law_is_found_exactly():
    fit = scaling.fit_power([1, 2, 4, 8], [3 * x**1.5 for x in (1, 2, 4, 8)])
    assert (fit.exponent, fit.error, fit.factor) == (pytest.approx(1.5), pytest.approx(0, abs=1e-12), pytest.approx(3))


def test_the_error_is_that_of_linear_regression():
    from scipy.stats import linregress

    x, y = torch.arange(1.0, 9), torch.tensor([1.1, 1.9, 3.2, 3.8, 5.3, 5.9, 7.2, 7.7])
    fit, known = scaling.fit_power(x.tolist(), y.tolist()), linregress(x.log(), y.log())
    assert (fit.exponent, fit.error) == (pytest.approx(known.slope), pytest.approx(known.stderr))


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 0, 3])])
def test_points_that_make_no_law(x, y):
    with pytest.raises(ValueError, match="three positive points"):
        scaling.fit_power(x, y)


def exponent(build) -> float:
    model, sizes = build(), (64, 128, 256, 512)
    macs = [profile(model, torch.zeros(1, 1, px, px)).macs for px in sizes]
    return scaling.fit_power([px**2 for px in sizes], macs).exponent


def test_spt_unet_is_linear_in_pixels_and_full_attention_is_not():
    assert exponent(partial(SpTUNet, width=8)) == pytest.approx(1, abs=1e-6)
    assert exponent(partial(SACNN, width=8)) > 1.2


@pytest.mark.slow
def test_real_runs_are_measured_and_sizes_that_do_not_fit_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "SIZES", (64, 128, 100, 256))
    monkeypatch.setattr(scaling, "TIMED", (128, 256))
    monkeypatch.setattr(scaling, "BATCHES", (1, 2, 4))
    by_size, by_batch = scaling.points({"small": partial(SpTUNet, width=16)}, repeats=1)
    assert [row["px"] for row in by_size] == [64, 128, 256]
    assert [row["batch"] for row in by_batch] == [1, 2, 4]
    small, large = by_size[1], by_size[2]
    assert small["time"] > 0
    assert 2 < large["peak memory"] / small["peak memory"] < 6
    assert 0.5 < large["peak memory"] / large["tensors alive"] < 2
    sheet = scaling.fits(by_size, by_batch)
    (found,) = [r for r in sheet.rows if (r["over"], r["quantity"]) == ("batch", "MACs")]
    assert (found["exponent"], found["error"], found["how"]) == (1, 0, "counted")
    assert len(scaling.measured_sheet([*by_size, *by_batch]).rows) == 5
    scaling.draw(by_size, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
