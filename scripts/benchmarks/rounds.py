"""Several ways of doing the same, timed in turn, and times and bytes as a table shows them."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from torch.utils.benchmark import timer

from spt.complexity.timing import time_call


def in_turn(
    calls: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = timer
) -> dict[str, list[float]]:
    """Time every call once a round, so that a busy moment of the machine does not fall on one of them alone.

    Args:
        calls: what is timed, by name; another one comes first each round.
        rounds: times that each is timed.
        clock: ``time.process_time`` leaves out the time spent waiting for a busy machine.
    Returns:
        The times of every call [s], round by round.
    """
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(time_call(calls[name], 1, clock).median)
    return seconds


def spread(values: Sequence[float], digits: int) -> str:
    """Median (least..greatest)."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def milliseconds(seconds: Sequence[float]) -> str:
    """Median (least..greatest) in ms."""
    return spread([1e3 * second for second in seconds], 1)


def megabytes(count: int | None) -> str:
    """Bytes in MB."""
    return "not measured" if count is None else f"{count / 1e6:.0f} MB"
