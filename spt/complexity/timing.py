"""Time, throughput and peak memory, measured on the machine at hand."""

import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch.utils.benchmark import Measurement, Timer, timer
from torch.utils.benchmark.utils.common import set_torch_threads

from spt.complexity.networks import Builders
from spt.complexity.sheet import Row, Sheet

GAIN = 1.02
"""A larger batch has to bring this much more throughput to be worth another doubling."""


def time_call(call: Callable[[], object], repeats: int = 7, clock: Callable[[], float] = timer) -> Measurement:
    """Time a call after two calls that warm up.

    Args:
        call: what is timed.
        repeats: about as many calls are timed, short ones in blocks and for half a second.
        clock: seconds; torch's own waits for the GPU.
    Returns:
        torch's measurement: ``median`` and ``times`` of one call [s].
    """
    timed = Timer("call()", globals={"call": call}, timer=clock, num_threads=torch.get_num_threads())
    first = timed.timeit(1)
    if repeats == 1:
        return first
    others = timed.blocked_autorange(min_run_time=max(0.5, (repeats - 1) * first.median))
    return Measurement.merge([first, others])[0]


def throughput(
    builders: Builders,
    sizes: Mapping[str, list[int]],
    threads: Iterable[int],
    compiled: bool,
    batch: int,
    max_batch: int,
    repeats: int,
    device: torch.device,
) -> Sheet:
    """Time every network at every size that it takes, with every number of threads, eager and compiled."""
    rows: list[Row] = []
    modes = ("eager", "compiled") if compiled else ("eager",)
    for name, px, count, mode in ((n, s, t, m) for n in builders for s in sizes[n] for t in threads for m in modes):
        torch.compiler.reset()
        model = builders[name]().to(device).eval()
        call = torch.compile(model) if mode == "compiled" else model

        def timed(size: int, call: Callable = call, px: int = px) -> Measurement:
            speckle = torch.rand(size, 1, px, px, device=device)
            return time_call(lambda: call(speckle), repeats)

        with set_torch_threads(count), torch.inference_mode():
            found = search(timed, batch, max_batch)
        rows += [{"network": name, "px": px, "mode": mode, "threads": count} | row for row in found]
    note = f"float32, channels first, inference mode, about {repeats} timed calls after 2, on {device.type}; median."
    return Sheet("throughput", "Throughput and inference time", rows, [note])


def search(timed: Callable[[int], Measurement], batch: int, max_batch: int) -> list[Row]:
    """Time one batch, then doubled batches up to ``max_batch`` while throughput still grows.

    Returns:
        A row for ``batch`` and, where another batch is better, one for the best.
    """
    rows: dict[int, Row] = {}
    for size in dict.fromkeys([batch, *(2**k for k in range(max_batch.bit_length()))]):
        taken = timed(size)
        row: Row = {"batch": size, "ms per batch": round(1e3 * taken.median, 3)}
        row["least..greatest"] = f"{1e3 * min(taken.times):.1f}..{1e3 * max(taken.times):.1f}"
        rows[size] = row | {"images/s": round(size / taken.median, 3)}
        if size > batch and rows[size]["images/s"] < GAIN * max(r["images/s"] for s, r in rows.items() if s < size):
            break
    best = max(rows, key=lambda size: rows[size]["images/s"])
    return [rows[size] | {"best": "best" if size == best else ""} for size in dict.fromkeys([batch, best])]


def fastest(sheet: Sheet, batch: int) -> dict[tuple[str, int], float]:
    """(network, px) -> least median time of that batch [s] over threads and modes."""
    rows = sorted((row for row in sheet.rows if row["batch"] == batch), key=lambda row: -row["ms per batch"])
    return {(row["network"], row["px"]): row["ms per batch"] / 1e3 for row in rows}


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


_PROCESS, _RESET, _CPUS = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/cpuinfo")


def _status(name: str) -> int:
    (line,) = (line for line in _PROCESS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def hardware() -> str:
    """Name the processor, the number of threads and the version of torch."""
    lines = _CPUS.read_text().splitlines() if _CPUS.exists() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{cpu}, {torch.get_num_threads()} threads, torch {torch.__version__}"
