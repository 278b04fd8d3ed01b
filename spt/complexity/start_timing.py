"""How long a simulated set keeps a run waiting: the first start, the second, and pairs that are simulated online."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any, Protocol


class Source(Protocol):
    """What a data set offers here."""

    def load(self) -> Mapping[str, Sized]:
        """Simulate or read the pairs of every split."""


def measure_starts(sources: Sequence[Source]) -> list[dict[str, float]]:
    """Time ``load`` of sources that share a cache folder, in turn: what is cached already is not made again.

    Returns:
        ``pairs`` of the set, ``cpu`` and ``wall`` [s], of each.
    """
    return [_load(source) for source in sources]


def _load(source: Source) -> dict[str, float]:
    loaded: list[Mapping[str, Sized]] = []
    times = _time(lambda: loaded.append(source.load()))
    return {"pairs": sum(map(len, loaded[0].values())), **times}


def measure_online(simulate: Callable[[list[int]], object], batch: int, batches: int) -> dict[str, float]:
    """Time fresh training pairs, batch by batch.

    Args:
        simulate: called with the numbers of the pairs of a batch.
        batch: pairs of a batch.
        batches: timed batches, after one that warms up.
    Returns:
        ``pairs``, ``cpu`` and ``wall`` [s].
    """
    first, *others = ([k * batch + i for i in range(batch)] for k in range(batches + 1))
    simulate(first)
    return {"pairs": batch * batches, **_time(lambda: [simulate(numbers) for numbers in others])}


def _time(call: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def start_table(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure_starts` and :func:`measure_online`, with ``what`` added.
    """
    yield ["what", "pairs", "CPU s", "wall s", "pairs/s of CPU"]
    for row in rows:
        rate = f"{row['pairs'] / row['cpu']:.0f}" if row["cpu"] else ""
        yield [row["what"], f"{row['pairs']:,}", f"{row['cpu']:.1f}", f"{row['wall']:.1f}", rate]
