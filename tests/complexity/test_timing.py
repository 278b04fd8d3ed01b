import time

import pytest
import torch

from spt.complexity.timing import PeakMemory, time_call


def test_warm_up_is_called_and_not_counted():
    waits = iter([0.2, 0.0, 0.01, 0.03])
    timing = time_call(lambda: time.sleep(next(waits)), repeats=3, warm_up=1)
    assert next(waits, None) is None
    assert timing.least < timing.median < timing.greatest < 0.1
    assert timing.median >= 0.01
    assert timing.greatest >= 0.03


def test_peak_memory_sees_what_was_freed_inside():
    with PeakMemory(torch.device("cpu")) as memory:
        torch.ones(50_000_000)
    if memory.bytes is None:
        pytest.skip("no /proc here: peak memory of a process is only read on Linux")
    assert 200e6 <= memory.bytes + 1e6 <= 230e6


def test_peak_memory_starts_anew():
    with PeakMemory(torch.device("cpu")):
        torch.ones(50_000_000)
    with PeakMemory(torch.device("cpu")) as memory:
        torch.ones(1_000)
    assert memory.bytes is None or memory.bytes < 20e6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_peak_memory_of_a_gpu_is_what_torch_allocated():
    with PeakMemory(torch.device("cuda")) as memory:
        torch.ones(50_000_000, device="cuda")
    assert memory.bytes == pytest.approx(200e6, rel=0.02)
