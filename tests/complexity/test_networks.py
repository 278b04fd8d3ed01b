"""The comparison with the notes: what is printed, what is counted, what is said about misprints."""

from functools import partial

import pytest
import torch
from torch import nn

from spt.complexity.networks import Cost, comparison, data_types, measure, measure_all, operations, structure
from spt.complexity.published import PUBLISHED
from spt.complexity.remarks import REMARKS
from spt.models import SACNN, DeepSpeckle, SpTUNet


def hollow(build, **arguments) -> nn.Module:
    with torch.device("meta"):
        return build(**arguments)


@pytest.fixture(scope="module")
def costs() -> list[Cost]:
    return [measure("spt_unet", SpTUNet(), 256, 2), measure("deep_speckle", DeepSpeckle(), 256, 2)]


def row(costs: list[Cost], network: str, quantity: str, timings=None) -> dict:
    rows = comparison(costs, [], timings or {}).rows
    (found,) = [r for r in rows if r["network"] == network and r["quantity"] == quantity]
    return found


def test_spt_unet_agrees_with_the_reading_of_its_figures(costs):
    cost = row(costs, "spt_unet", "GMAC of an image, convolutions")
    assert (cost["published"], cost["ours"]) == (pytest.approx(31.7197), pytest.approx(31.717327, abs=1e-6))
    assert cost["ratio"] == pytest.approx(1, abs=1e-3)
    assert row(costs, "spt_unet", "parameters, 1e6")["ours"] == 6.616577


def test_the_profilers_error_is_explained_and_not_imitated(costs):
    cost = row(costs, "deep_speckle", "GMAC of an image, convolutions")
    assert cost["ours"] == pytest.approx(70.706135)
    assert cost["ratio"] == pytest.approx(1225.4, abs=0.1)
    assert "57,707,561" in cost["remark"]
    assert row(costs, "deep_speckle", "parameters, 1e6")["ours"] == 21.85053


def test_times_appear_when_they_were_measured(costs):
    assert row(costs, "spt_unet", "images/s")["ours"] is None
    timed = row(costs, "spt_unet", "images/s", {("spt_unet", 256): 0.04})
    assert (timed["ours"], timed["published"]) == (50, 62.5)
    assert "63.8" in timed["remark"]
    assert row(costs, "spt_unet", "ms per batch", {("spt_unet", 256): 0.04})["ratio"] == pytest.approx(
        40 / 31.3427, abs=1e-4
    )


def test_every_misprint_has_a_remark_whose_correction_follows_from_the_other_figures():
    per_pixel = PUBLISHED["spt_unet", 200].flops / 200**2
    assert per_pixel * 224**2 / 1e9 == pytest.approx(24.2854, abs=1e-4)
    assert "24.2854" in REMARKS["spt_unet", 224, "flops"]
    per_pixel = PUBLISHED["spt_unet_b", 256].flops / 256**2
    assert per_pixel * 224**2 / 1e9 == pytest.approx(16.2556, abs=1e-4)
    assert "16.2556" in REMARKS["spt_unet_b", 224, "flops"]
    assert per_pixel * 200**2 / 1e9 == pytest.approx(12.9589, abs=1e-4)
    assert "12.9589" in REMARKS["spt_unet_b", 200, "flops"]
    assert 2e3 / PUBLISHED["spt_unet", 256].ms_per_batch == pytest.approx(63.8, abs=0.05)


def test_the_open_reading_and_the_unit_are_said_below_the_table(costs):
    notes = " ".join(comparison(costs, [], {}).notes)
    for words in ("batch 2", "MACs of one image", "do not decide", "batch/ms", "hardware not named"):
        assert words in notes


def test_a_users_network_joins_and_a_refused_size_is_named():
    costs, refused = measure_all({"mine": partial(SACNN, width=4, attention_levels=(5,))}, [64, 100], batch=1)
    sheet = comparison(costs, refused, {})
    assert {r["network"] for r in sheet.rows} == {"mine"}
    assert {r["remark"] for r in sheet.rows} == {"not in the notes"}
    assert any("mine at 100 px: SACNN: height and width must be multiples of 32" in note for note in sheet.notes)


def test_no_size_that_fits_is_an_error():
    with pytest.raises(ValueError, match="multiples of 8"):
        measure_all({"mine": partial(SpTUNet, width=4)}, [30], batch=1)


def test_lines_add_up(costs):
    for r in operations(costs).rows:
        products = sum(r.get(k, 0) for k in ("conv", "dilated conv", "transp. conv", "linear", "attention"))
        assert products == pytest.approx(r["GMAC"], rel=1e-4)
        others = sum(r.get(k, 0) for k in ("interp.", "norm", "activ.", "pooling", "arithm."))
        assert r["2 GMAC"] + others == pytest.approx(r["+ others"], rel=1e-4)
        assert r["not counted"] == "nothing"
    spt, deep = operations(costs).rows
    assert (spt["GMAC"], spt["conv"]) == (pytest.approx(32.220643, abs=1e-5), pytest.approx(31.71733, abs=1e-5))
    assert deep["dilated conv"] == pytest.approx(27.46286, abs=1e-5)


def test_structure(costs):
    spt, deep = structure(costs).rows
    assert (spt["trainable"], deep["trainable"]) == (6_616_577, 21_850_530)
    assert deep["buffers"] == 22_976 + 32  # moving statistics, and 32 counters of batches
    assert spt["receptive field, px"] == "whole image"
    assert 4 * 6_616_577 < 1e6 * spt["weights file, MB"] < 4.1 * 6_616_577
    assert spt["peak training, MB"] > spt["activations kept for backward, MB"] > spt["peak inference, MB"]


def test_bytes_halve_and_double_with_the_data_bits():
    builders = {"mine": partial(SpTUNet, width=4)}
    costs, _ = measure_all(builders, [32], batch=2)
    single, double, half = data_types(builders, costs).rows
    assert [r["bits"] for r in (half, single, double)] == [16, 32, 64]
    assert double["weights, MB"] == pytest.approx(2 * single["weights, MB"], rel=1e-2)
    assert double["peak inference, MB"] == pytest.approx(2 * single["peak inference, MB"], rel=1e-2)
    assert half["op/byte"] > single["op/byte"] > double["op/byte"]
