"""Time and peak memory of one call, measured on the machine at hand."""

import platform
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.benchmark import Measurement, Timer, timer


def time_call(call: Callable[[], object], repeats: int = 7, clock: Callable[[], float] = timer) -> Measurement:
    """Time a call after two calls that warm up.

    Args:
        call: what is timed.
        repeats: timed calls; about as many, because torch's timer stops after a time, and calls in blocks where one
            is too short for the clock.
        clock: seconds; torch's own waits for the GPU.
    Returns:
        torch's measurement: ``median`` and ``times`` of one call [s].
    """
    timed = Timer("call()", globals={"call": call}, timer=clock, num_threads=torch.get_num_threads())
    first = timed.timeit(1)
    if repeats == 1:
        return first
    others = timed.blocked_autorange(min_run_time=(repeats - 1) * first.median)
    return Measurement.merge([first, others])[0]


class PeakMemory:
    """Greatest memory in use inside a ``with`` block, above what was in use when it began.

    On a GPU what torch allocated there; on Linux without one the process's resident memory, for which a process that
    did nothing before is needed: freed memory that is used again is not seen. Elsewhere ``bytes`` stays None.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        elif _PROCESS.exists():
            _RESET.write_text("5")  # proc(5): resets the peak resident set size
            self._before = _status("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self._before
        elif _PROCESS.exists():
            self.bytes = _status("VmHWM") - self._before


_PROCESS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def _status(name: str) -> int:
    (line,) = (line for line in _PROCESS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def hardware() -> str:
    """Name the processor, the number of threads and the version of torch."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{cpu}, {torch.get_num_threads()} threads, torch {torch.__version__}"
