"""Time of a call, throughput of networks, peak memory."""

import time
from itertools import chain, cycle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from spt.complexity.sheet import Sheet
from spt.complexity.timing import PeakMemory, fastest, search, throughput, time_call

CPU = torch.device("cpu")


def test_two_calls_warm_up_and_are_not_counted():
    waits = chain([0.2, 0.2], cycle([0.02, 0.04]))
    taken = time_call(lambda: time.sleep(next(waits)), repeats=5)
    assert 0.02 <= min(taken.times) <= taken.median <= max(taken.times) < 0.15
    assert len(taken.times) >= 2


def test_one_repeat_is_three_calls():
    calls: list[int] = []
    assert len(time_call(lambda: calls.append(1), repeats=1).times) == 1
    assert len(calls) == 3


def test_the_processors_clock_does_not_count_waiting():
    assert time_call(lambda: time.sleep(0.05), 1, time.process_time).median < 0.04


@pytest.fixture
def batches():
    """A batch of b takes 10 ms + 1 ms an image, and from 5 images on 10 ms an image more."""
    seen: list[int] = []

    def timed(size: int):
        seen.append(size)
        seconds = (10 + size + 10 * max(0, size - 4)) / 1e3
        return SimpleNamespace(median=seconds, times=[seconds])

    timed.seen = seen
    return timed


def test_the_search_doubles_and_stops_where_nothing_is_gained(batches):
    rows = search(batches, 2, 64)
    assert batches.seen == [2, 1, 4, 8]
    assert [(row["batch"], row["best"]) for row in rows] == [(2, ""), (4, "best")]
    assert rows[0]["ms per batch"] == 12
    assert rows[1]["images/s"] == pytest.approx(4e3 / 14, abs=1e-3)


def test_the_asked_batch_may_be_the_best(batches):
    (row,) = search(batches, 4, 4)
    assert (row["batch"], row["best"]) == (4, "best")


class Watch(nn.Module):
    """Notes the mode and the number of threads that it runs with."""

    def forward(self, x):
        self.seen = (self.training, torch.get_num_threads(), tuple(x.shape))
        return x + 1


def test_networks_are_timed_in_evaluation_with_the_threads_asked_for():
    model, before = Watch().train(), torch.get_num_threads()
    sheet = throughput({"net": lambda: model}, {"net": [8]}, (before + 1,), False, 2, 2, 1, CPU)
    assert model.seen[:2] == (False, before + 1)
    assert torch.get_num_threads() == before
    assert all(row["mode"] == "eager" and row["threads"] == before + 1 for row in sheet.rows)
    assert fastest(sheet, 2) == {("net", 8): sheet.rows[0]["ms per batch"] / 1e3}


def test_the_fastest_setting_counts():
    taken = ((2, 9.0), (2, 4.0), (2, 6.0), (1, 1.0))
    rows = [{"network": "a", "px": 8, "batch": batch, "ms per batch": ms} for batch, ms in taken]
    assert fastest(Sheet("throughput", "", rows), 2) == {("a", 8): 0.004}


@pytest.mark.slow
def test_a_compiled_network_is_timed():
    sheet = throughput({"net": lambda: nn.Conv2d(1, 1, 3)}, {"net": [8]}, (1,), True, 2, 2, 2, CPU)
    assert {row["mode"] for row in sheet.rows} == {"eager", "compiled"}


def test_peak_memory_sees_what_was_freed_inside():
    with PeakMemory(CPU) as memory:
        torch.ones(50_000_000)
    if memory.bytes is None:
        pytest.skip("no /proc here: peak memory of a process is only read on Linux")
    assert 200e6 <= memory.bytes + 1e6 <= 230e6


def test_peak_memory_starts_anew():
    with PeakMemory(CPU):
        torch.ones(50_000_000)
    with PeakMemory(CPU) as memory:
        torch.ones(1_000)
    assert memory.bytes is None or memory.bytes < 20e6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_peak_memory_of_a_gpu_is_what_torch_allocated():
    with PeakMemory(torch.device("cuda")) as memory:
        torch.ones(50_000_000, device="cuda")
    assert memory.bytes == pytest.approx(200e6, rel=0.02)
