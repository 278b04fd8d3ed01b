"""Counting networks at several sizes, and the tables of operations, memory and data types."""

import pytest
from torch import nn

from spt.complexity.networks import data_types, measure_all, operations, structure
from spt.complexity.notes_figures import comparison


class Even(nn.Module):
    """A user's network that takes even sides only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
        self.body[2].requires_grad_(False)

    def forward(self, x):
        if x.shape[-1] % 2:
            raise ValueError("sides must be even.")
        return self.body(x)


def test_a_users_network_joins_and_a_refused_size_is_named():
    costs, refused = measure_all({"mine": Even}, [8, 9], batch=1)
    assert refused == ["mine at 9 px: sides must be even."]
    rows = comparison(costs, refused, {}).rows
    assert {(row["network"], row["px"], row["note"]) for row in rows} == {("mine", 8, "not in the notes")}


def test_no_size_that_fits_is_an_error():
    with pytest.raises(ValueError, match="mine at 9 px: sides must be even"):
        measure_all({"mine": Even}, [9], batch=1)


def test_lines_add_up(costs):
    for r in operations(costs).rows:
        products = sum(r.get(k, 0) for k in ("conv", "dilated conv", "transp. conv", "linear", "attention"))
        assert products == pytest.approx(r["GMAC"], rel=1e-4)
        others = sum(r.get(k, 0) for k in ("interp.", "norm", "activ.", "pooling", "arithm."))
        assert r["2 GMAC"] + others == pytest.approx(r["+ others"], rel=1e-4)
        assert r["not counted"] == "nothing"
    spt, deep = operations(costs).rows
    assert (spt["GMAC"], spt["conv"]) == (pytest.approx(32.220643, abs=1e-5), pytest.approx(31.71733, abs=1e-5))
    assert (spt["notes"], spt["2nd note"]) == (pytest.approx(63.8677, abs=1e-4), pytest.approx(31.7876, abs=1e-4))
    assert deep["dilated conv"] == pytest.approx(27.46286, abs=1e-5)


def test_structure(costs):
    spt, deep = structure(costs).rows
    assert (spt["trainable"], deep["trainable"]) == (6_616_577, 21_850_530)
    assert deep["buffers"] == 22_976 + 32  # moving statistics, and 32 counters of batches
    assert spt["receptive field, px"] == "whole image"
    assert 4 * 6_616_577 < 1e6 * spt["weights file, MB"] < 4.1 * 6_616_577
    assert spt["peak training, MB"] > spt["activations kept for backward, MB"] > spt["peak inference, MB"]


def test_frozen_weights_are_stored_and_not_trained():
    costs, _ = measure_all({"mine": Even}, [8], batch=1)
    (row,) = structure(costs).rows
    assert (row["trainable"], row["buffers"]) == (40 + 8, 9)
    assert comparison(costs, [], {}).rows[0]["ours"] == (40 + 8 + 5) / 1e6


def test_bytes_halve_and_double_with_the_data_bits():
    costs, _ = measure_all({"mine": Even}, [8], batch=2)
    single, double, half = data_types(costs).rows
    assert [r["bits"] for r in (half, single, double)] == [16, 32, 64]
    integers = 8 / 1e6  # a counter of batches
    for column, unit in (("weights, MB", integers), ("peak inference, MB", integers), ("memory access, GB", 0)):
        sizes = [row[column] - unit for row in (half, single, double)]
        assert sizes == [pytest.approx(k * sizes[0]) for k in (1, 2, 4)]
    assert single["weights, MB"] == pytest.approx((4 * (53 + 8) + 8) / 1e6)
    assert single["integers in it, bytes"] == 8
    assert half["op/byte"] > single["op/byte"] > double["op/byte"]
