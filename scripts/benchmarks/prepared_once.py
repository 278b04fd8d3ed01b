"""The loader alone, for pairs in memory: prepared batch by batch, and prepared once and kept on the device.

OMP_NUM_THREADS=1 python scripts/benchmarks/prepared_once.py
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from loader import in_rounds, speckles
from machine import add_device, hardware, parser, positive, show
from rounds import spread

from spt.data.held import HeldPairs
from spt.data.order import EpochOrder, LateLoader
from spt.data.pairs import Pairs, PairsDataset
from spt.data.preparation import Amplitude

EVERY_TIME, ONCE = "batch by batch", "once"


def main() -> None:
    """Measure every size, both ways in turn."""
    options = parser(__doc__, sizes=[64, 256], repeats=5)
    options.add_argument("--pairs", type=positive, default=2048)
    options.add_argument("--batch", type=positive, default=16)
    add_device(options)
    asked = options.parse_args()
    rows = [measure(size, asked.pairs, asked.batch, asked.device, asked.repeats) for size in asked.sizes]
    show(
        table(rows),
        f"{hardware(asked.device)}; {asked.pairs:,} frames and objects of 8 bit in shuffled batches of {asked.batch}, "
        f"default preparation, batches on {asked.device}; median (least..greatest) of {asked.repeats} rounds in turn.",
    )


def measure(size: int, count: int, batch: int, device: str, rounds: int) -> dict[str, Any]:
    """Seconds of an epoch, round by round; the first epoch, in which pairs are prepared once, warms up."""
    frames = torch.from_numpy(speckles(count, size))
    dataset = PairsDataset(Pairs("train", frames, frames.flip(0), torch.zeros(count, dtype=torch.int64)), Amplitude())
    ways = {
        EVERY_TIME: epoch(dataset, batch, device, pin_memory=device == "cuda"),
        ONCE: epoch(HeldPairs(dataset, torch.device(device)), batch, device),
    }
    return {"size": size, "pairs": count, "seconds": in_rounds(ways, rounds, lambda: None)}


def epoch(dataset: PairsDataset | HeldPairs, batch: int, device: str, **settings: Any) -> Callable[[], None]:
    """A call that loads every pair once and waits until the last one is on the device."""
    order = EpochOrder(dataset, 1, 0)
    loader = LateLoader(dataset, sampler=order, batch_size=batch, **settings)

    def load() -> None:
        order.set_epoch(order.epoch + 1)
        for pairs in loader:
            for values in pairs.values():
                values.to(device, non_blocking=True)
        if device == "cuda":
            torch.cuda.synchronize()

    return load


def table(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure`.
    """
    yield ["px", f"{EVERY_TIME}, pairs/s", f"{ONCE}, pairs/s", "ratio of a round"]
    for row in rows:
        seconds = row["seconds"]
        speeds = [spread([row["pairs"] / s for s in seconds[way]], 0) for way in (EVERY_TIME, ONCE)]
        ratios = [slow / quick for slow, quick in zip(seconds[EVERY_TIME], seconds[ONCE], strict=True)]
        yield [str(row["size"]), *speeds, spread(ratios, 1)]


if __name__ == "__main__":
    main()
