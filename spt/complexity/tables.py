"""Tables of what networks cost."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spt.complexity.full_attention import with_full_attention
from spt.complexity.published import PUBLISHED
from spt.complexity.timing import PeakMemory, Timing, time_call


def measure_network(
    build: Callable[[], nn.Module],
    size: int,
    batch: int,
    training: bool,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    repeats: int = 7,
) -> dict[str, Any]:
    """Measure one network at one size: forward passes in evaluation, or training steps with AdamW.

    Memory is what the process holds above its state before the network was built, so that weights, gradients and the
    optimizer's state are in it; on a CPU it has to be measured in a process of its own.

    Returns:
        ``parameters``, ``time`` of a batch (fields of :class:`Timing`), ``bytes``, and the settings.
    """
    with PeakMemory(device) as memory:
        model = build().to(device).to(memory_format=torch.channels_last)
        speckle = torch.randn(batch, 1, size, size, device=device)
        call = training_step(model, speckle, precision) if training else _inference(model, speckle, precision)
        call()
        call()
    return {
        "size": size,
        "batch": batch,
        "training": training,
        "parameters": sum(p.numel() for p in model.parameters()),
        "time": vars(time_call(call, repeats, warm_up=0)),
        "bytes": memory.bytes,
    }


def _inference(model: nn.Module, speckle: Tensor, precision: torch.dtype) -> Callable[[], None]:
    model.eval()

    def call() -> None:
        with torch.inference_mode(), torch.autocast(speckle.device.type, precision, precision != torch.float32):
            model(speckle)

    return call


def training_step(model: nn.Module, speckle: Tensor, precision: torch.dtype) -> Callable[[], None]:
    """One step of AdamW with cross-entropy on random targets, ready to be called and timed."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    target = torch.rand_like(speckle)

    def call() -> None:
        optimizer.zero_grad()
        with torch.autocast(speckle.device.type, precision, precision != torch.float32):
            logits = model(speckle)
        F.binary_cross_entropy_with_logits(logits.float(), target.expand_as(logits)).backward()
        optimizer.step()

    return call


def measure_attention(model: nn.Module, size: int, full: bool, device: torch.device, repeats: int) -> dict[str, Any]:
    """Measure forward and backward of a SpT UNet for one image, with its own attention or the full softmax.

    Memory is what is in use above the network's weights and gradients.
    """
    model = (with_full_attention(model) if full else model).to(device)
    speckle = torch.randn(1, 1, size, size, device=device)

    def call() -> None:
        model(speckle).square().mean().backward()

    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with PeakMemory(device) as memory:
        call()
    return {"size": size, "full": full, "time": vars(time_call(call, repeats)), "bytes": memory.bytes}


def network_table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: ours beside the notes' figures, where they print any.

    Args:
        rows: of :func:`measure_network` with ``network`` added, inference and training in turn.
    """
    yield [
        "network",
        "px",
        "parameters",
        "forward, ms a batch (min..max)",
        "images/s",
        "notes: ms",
        "notes: images/s",
        "training step, ms a batch (min..max)",
        "images/s",
        "peak memory forward",
        "peak memory training",
    ]
    for inference, training in zip(rows[::2], rows[1::2], strict=True):
        printed = PUBLISHED.get((inference["network"], inference["size"]))
        forward, step = Timing(**inference["time"]), Timing(**training["time"])
        yield [
            inference["network"],
            str(inference["size"]),
            f"{inference['parameters']:,}",
            _milliseconds(forward),
            f"{inference['batch'] / forward.median:.1f}",
            f"{printed.ms_per_batch:.1f}" if printed else "",
            f"{printed.images_per_second:.1f}" if printed else "",
            _milliseconds(step),
            f"{training['batch'] / step.median:.1f}",
            _megabytes(inference["bytes"]),
            _megabytes(training["bytes"]),
        ]


def attention_table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: the full softmax over the pooled grid, size by size.

    Args:
        rows: of :func:`measure_attention`, pooled and full in turn.
    """
    yield ["px", "pooled, ms", "full softmax, ms", "time ratio", "pooled, MB", "full softmax, MB", "memory ratio"]
    for pooled, full in zip(rows[::2], rows[1::2], strict=True):
        times = [Timing(**row["time"]) for row in (pooled, full)]
        memory = [row["bytes"] for row in (pooled, full)]
        yield [
            str(pooled["size"]),
            *map(_milliseconds, times),
            f"{times[1].median / times[0].median:.1f}",
            *map(_megabytes, memory),
            f"{memory[1] / memory[0]:.1f}" if all(memory) else "",
        ]


def memory_table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: a training step without and with activation checkpointing.

    Args:
        rows: of :func:`measure_network` with ``network`` added, without and with in turn.
    """
    yield ["network", "px", "batch", "plain, ms", "checkpointed, ms", "time ratio", "plain", "checkpointed", "saved"]
    for plain, saving in zip(rows[::2], rows[1::2], strict=True):
        times = [Timing(**row["time"]) for row in (plain, saving)]
        memory = [row["bytes"] for row in (plain, saving)]
        yield [
            plain["network"],
            str(plain["size"]),
            str(plain["batch"]),
            *map(_milliseconds, times),
            f"{times[1].median / times[0].median:.2f}",
            *map(_megabytes, memory),
            f"{1 - memory[1] / memory[0]:.0%}" if all(memory) else "",
        ]


def _milliseconds(timing: Timing) -> str:
    return f"{1e3 * timing.median:.1f} ({1e3 * timing.least:.1f}..{1e3 * timing.greatest:.1f})"


def _megabytes(count: int | None) -> str:
    return "not measured" if count is None else f"{count / 1e6:.0f} MB"
