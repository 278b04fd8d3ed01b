"""How long a simulated set keeps a run waiting: the first start, the second, and pairs that are simulated online.

python scripts/benchmarks/data.py
"""

import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any, Protocol

from machine import built, each, hardware, show

SMALL = ["data.source.train=192", "data.source.validation=64"]
STARTS = ("first start", "second start", "other camera, same objects")
CASES: list[dict[str, Any]] = [
    {"overrides": ["data=one_diffuser"]},
    {"overrides": ["data=grit", *SMALL]},
    {"overrides": ["data=weak_scatter", "data.online=true", *SMALL], "batch": 16, "batches": 64},
    {"overrides": ["data=grit", "data.online=true", *SMALL], "batch": 8, "batches": 8},
]


def main() -> None:
    """Measure every set in a process of its own, with an empty cache."""
    options = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--cases", nargs="+", type=int, choices=range(len(CASES)), default=range(len(CASES)))
    rows = [row for case in each(measure, [CASES[k] for k in options.parse_args().cases]) for row in case]
    show(table(rows), f"{hardware()}, one run, without imports.")


def measure(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure one set: the starts from an empty cache on, or its online pairs."""
    what = " ".join(case["overrides"])
    with tempfile.TemporaryDirectory() as cache:
        overrides = [*case["overrides"], f"data.source.cache={cache}"]
        if "batch" in case:
            return [{"what": f"{what}: batches of {case['batch']}", **_online(case, overrides)}]
        cameras: list[list[str]] = [[], [], ["data.source.camera.bits=7"]]
        sources = [built(*overrides, *camera, part="data").source for camera in cameras]
        return [{"what": f"{what}: {s}", **t} for s, t in zip(STARTS, measure_starts(sources), strict=True)]


def _online(case: dict[str, Any], overrides: list[str]) -> dict[str, float]:
    import torch

    from spt.data.online import OnlinePairs

    data = built(*overrides, part="data")
    pairs = OnlinePairs(data.simulation, data.source.load()["train"], data.preparation, torch.device("cpu"))
    return measure_online(pairs.__getitems__, case["batch"], case["batches"])


class Loadable(Protocol):
    """What a source of pairs offers here."""

    def load(self) -> Mapping[str, Sized]:
        """Simulate or read the pairs of every split."""


def measure_starts(sources: Sequence[Loadable]) -> list[dict[str, float]]:
    """Time ``load`` of sources that share a cache folder, in turn: what is cached already is not made again.

    Returns:
        ``pairs`` of the set, ``cpu`` and ``wall`` [s], of each.
    """
    return [_load(source) for source in sources]


def _load(source: Loadable) -> dict[str, float]:
    loaded: list[Mapping[str, Sized]] = []
    times = _once(lambda: loaded.append(source.load()))
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
    return {"pairs": batch * batches, **_once(lambda: [simulate(numbers) for numbers in others])}


def _once(call: Callable[[], object]) -> dict[str, float]:
    """Time a single call: a first start cannot be repeated, so there is nothing to warm up."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def table(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure_starts` and :func:`measure_online`, with ``what`` added.
    """
    yield ["what", "pairs", "CPU s", "wall s", "pairs/s of CPU"]
    for row in rows:
        rate = f"{row['pairs'] / row['cpu']:.0f}" if row["cpu"] else ""
        yield [row["what"], f"{row['pairs']:,}", f"{row['cpu']:.1f}", f"{row['wall']:.1f}", rate]


if __name__ == "__main__":
    main()
