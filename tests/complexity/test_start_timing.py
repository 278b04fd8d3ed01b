"""Starts are timed in turn, batches after one that warms up."""

import time

import pytest

from spt.complexity.start_timing import measure_online, measure_starts, start_table


class Slow:
    """A source that sleeps, then burns processor time."""

    def __init__(self, sleep: float) -> None:
        self.sleep = sleep

    def load(self) -> dict[str, list[int]]:
        time.sleep(self.sleep)
        return {"train": [0] * 5, "val_seen": [0] * 2}


def test_each_start_counts_its_own_pairs_and_time():
    slow, quick = measure_starts([Slow(0.2), Slow(0.0)])
    assert slow["pairs"] == quick["pairs"] == 7
    assert slow["wall"] >= 0.2 > quick["wall"]
    assert slow["cpu"] < 0.2  # sleeping costs no processor time


def test_batches_number_the_pairs_in_turn_and_the_first_warms_up():
    asked: list[list[int]] = []

    def simulate(numbers: list[int]) -> None:
        time.sleep(0.2 if not asked else 0.0)
        asked.append(numbers)

    timed = measure_online(simulate, batch=3, batches=2)
    assert asked == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert timed["pairs"] == 6
    assert timed["wall"] < 0.2


def test_table():
    header, row = start_table([{"what": "a set", "pairs": 1200, "cpu": 4.0, "wall": 8.0}])
    assert dict(zip(header, row, strict=True)) == {
        "what": "a set",
        "pairs": "1,200",
        "CPU s": "4.0",
        "wall s": "8.0",
        "pairs/s of CPU": "300",
    }


def test_a_source_that_fails_is_not_timed():
    class Broken:
        def load(self) -> dict[str, list[int]]:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        measure_starts([Broken()])
