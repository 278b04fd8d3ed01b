"""Throughput: which batch is best, in which mode, with how many threads."""

from functools import partial

import pytest
import torch
from torch import nn

from spt.complexity import throughput
from spt.complexity.timing import Timing
from spt.models import SpTUNet

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """A clock for which a batch of b takes 10 ms + 1 ms an image, and from 8 images on 10 ms an image more."""
    seen = []

    def fake(call, repeats):
        (x,) = call.args
        seen.append(len(x))
        seconds = (10 + len(x) + 10 * max(0, len(x) - 4)) / 1e3
        return Timing(seconds, seconds, seconds)

    monkeypatch.setattr(throughput, "time_call", fake)
    return seen


def test_the_search_doubles_and_stops_where_nothing_is_gained(clock):
    rows = list(throughput.throughput("net", nn.Identity(), 8, 2, 64, 3, CPU, compiled=False))
    assert clock == [2, 1, 4, 8]
    assert [(row["batch"], row["best"]) for row in rows] == [(2, ""), (4, "best")]
    assert rows[0]["ms per batch"] == 12
    assert rows[1]["images/s"] == pytest.approx(4e3 / 14, abs=1e-3)


def test_the_asked_batch_may_be_the_best(clock):
    (row,) = throughput.throughput("net", nn.Identity(), 8, 4, 4, 3, CPU, compiled=False)
    assert (row["batch"], row["best"]) == (4, "best")


def test_threads_are_set_and_given_back():
    before = torch.get_num_threads()
    with throughput.cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_real_network_is_timed_and_left_as_it_was():
    model = SpTUNet(width=4).train()
    sheet = throughput.timing_sheet({"net": lambda: model}, {"net": [32]}, (1,), False, 2, 2, 2, CPU)
    assert model.training
    assert all(row["mode"] == "eager" and row["threads"] == 1 and row["ms per batch"] > 0 for row in sheet.rows)
    best = throughput.fastest(sheet, 2)
    assert best == {("net", 32): sheet.rows[0]["ms per batch"] / 1e3}


@pytest.mark.slow
def test_a_compiled_network_is_timed():
    rows = list(throughput.throughput("net", partial(SpTUNet, width=4)(), 32, 2, 2, 2, CPU, compiled=True))
    assert rows[0]["mode"] == "compiled"
