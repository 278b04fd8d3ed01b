"""Time and peak memory of one call, measured on the machine at hand."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.benchmark import timer


@dataclass(frozen=True)
class Timing:
    """Median, least and greatest time of one call over repeated calls [s]."""

    median: float
    least: float
    greatest: float


def time_call(call: Callable[[], object], repeats: int = 7, warm_up: int = 2) -> Timing:
    """Time a call, the GPU synchronised before and after.

    Args:
        call: what is timed.
        repeats: timed calls.
        warm_up: calls before, not counted.
    """
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        began = timer()
        call()
        times.append(timer() - began)
    return Timing(statistics.median(times), min(times), max(times))


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
