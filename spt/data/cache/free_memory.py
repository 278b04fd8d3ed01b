"""How much memory is free, for this process and its workers."""

from contextlib import suppress
from pathlib import Path

from spt.data.files.problems import memory

MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
"""Limits of a container or of a job of a cluster."""


def free_memory() -> int:
    """Bytes that can still be used: what the system says, or less where a container or a job has a limit.

    Where the system does not say it, as on macOS, it is all the memory of the machine.
    """
    found = [memory()]
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
        found.append(1024 * int(line.split()[1]))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found.append(int((GROUP / limit).read_text()) - int((GROUP / used).read_text()))
    return max(0, min(found))


def in_words(size: int) -> str:
    """Bytes in B, kB, MB or GB."""
    for unit, bytes_of_unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of_unit:
            return f"{size / bytes_of_unit:.1f} {unit}"
    return f"{size} B"
