"""What a loss costs beside its formula as printed and beside the losses of SMP and MONAI."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from spt.complexity.rival_losses import Loss, plain, rivals
from spt.complexity.timing import Timing

Call = Callable[[], object]


def measure_loss(name: str, loss: Loss, channels: int, size: int, batch: int, repeats: int) -> dict[str, Any]:
    """Measure forward and backward of a loss, its rivals in between, so that all see the same state of the machine.

    Args:
        name: of the loss's configuration, which finds the rivals.
        loss: called with (logits, target).
        channels: one sigmoid channel, or two softmax classes.
        size: side of the images [px].
        batch: images.
        repeats: timed rounds; every round calls each once.
    Returns:
        ``shape``, ``time`` (fields of :class:`Timing`), ``ratio`` (rival -> median over rounds of ours / theirs) and
        ``buffers`` kept for the backward pass.
    Raises:
        ValueError: if SMP or MONAI is missing.
    """
    logits = torch.randn(batch, channels, size, size, requires_grad=True)
    lit = (torch.rand(batch, 1, size, size) > 0.9).float()
    target = lit if channels == 1 else torch.cat([lit, 1 - lit], dim=1)
    contenders = {"ours": loss, "plain": plain(name), **rivals(name, channels)}
    calls = {key: _forward_backward(one, logits, target) for key, one in contenders.items()}
    times = time_in_turn(calls, repeats)
    ours = times["ours"]
    return {
        "shape": list(logits.shape),
        "time": vars(Timing(statistics.median(ours), min(ours), max(ours))),
        "ratio": {
            key: statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            for key, theirs in times.items()
            if key != "ours"
        },
        "buffers": kept_buffers(lambda: loss(logits, target), logits.numel()),
    }


def time_in_turn(calls: dict[str, Call], repeats: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Time several calls round by round, another one first each round.

    Returns:
        The processor's time of every call after ``warm_up`` rounds [s]: waiting for a busy machine does not count.
    """
    names = list(calls)
    times: dict[str, list[float]] = {key: [] for key in calls}
    for turn in range(warm_up + repeats):
        first = turn % len(names)
        for key in names[first:] + names[:first]:
            began = time.process_time()
            calls[key]()
            if turn >= warm_up:
                times[key].append(time.process_time() - began)
    return times


def kept_buffers(call: Call, numel: int) -> int:
    """Count the storages of at least ``numel / 2`` elements that a forward pass keeps for backward, inputs included."""
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def pack(saved: Tensor) -> _Kept:
        kept.add(box := _Kept(saved))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.saved):
        result = call()
    large = {box.saved.untyped_storage().data_ptr() for box in kept if _elements(box.saved) >= numel / 2}
    del result
    return len(large)


class _Kept:
    """What the graph holds in place of a saved tensor, and drops with it."""

    def __init__(self, saved: Tensor) -> None:
        self.saved = saved.detach()  # with its graph it would keep itself alive


def _elements(saved: Tensor) -> float:
    return saved.untyped_storage().nbytes() / saved.element_size()


def loss_table(rows: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure_loss` with ``loss`` added.
    """
    yield ["loss", "logits", "CPU ms (min..max)", "/ plain formula", "/ SMP", "/ MONAI", "buffers kept"]
    for row in rows:
        measured = Timing(**row["time"])
        yield [
            row["loss"],
            str(tuple(row["shape"])),
            f"{1e3 * measured.median:.1f} ({1e3 * measured.least:.1f}..{1e3 * measured.greatest:.1f})",
            *(f"{row['ratio'][key]:.2f}" if key in row["ratio"] else "" for key in ("plain", "SMP", "MONAI")),
            str(row["buffers"]),
        ]


def _forward_backward(loss: Loss, logits: Tensor, target: Tensor) -> Call:
    def call() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return call
