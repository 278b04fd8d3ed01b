"""SpT UNet's attention on its pooled grid against a full softmax over all tokens: time and peak memory.

python scripts/benchmarks/attention.py --sizes 64 128 --repeats 5
"""

import copy
import math
import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

import torch
from jaxtyping import Float
from machine import add_device, built, each, hardware, parser, show
from rounds import megabytes, milliseconds
from torch import Tensor, nn

from spt.complexity.timing import PeakMemory, time_call
from spt.models.attention import PooledAttention


def main() -> None:
    """Measure both at every size, each in a process of its own."""
    options = parser(__doc__, sizes=[64, 128], repeats=7)
    add_device(options)
    asked = options.parse_args()
    same = {"device": asked.device, "repeats": asked.repeats}
    cases = [{"size": size, "full": full, **same} for size in asked.sizes for full in (False, True)]
    show(table(each(measure, cases)), f"{hardware(asked.device)}, float32, median of about {asked.repeats} calls.")


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Measure SpT UNet of `configs/model`."""
    return measure_attention(built("model=spt_unet", part="model"), **case)


def softmax_attention(
    q: Float[Tensor, "b n t d"], k: Float[Tensor, "b n s d"], v: Float[Tensor, "b n s d"]
) -> Float[Tensor, "b n t d"]:
    """``softmax(q k^T / sqrt(d)) v`` as it is written, with the whole matrix in memory.

    Source: Vaswani et al., Attention Is All You Need (2017), eq. (1).
    """
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1) @ v


def with_full_attention(model: nn.Module) -> nn.Module:
    """Return a copy with the same weights whose every attention sees all tokens, by the plain formula."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        if isinstance(module, PooledAttention):
            module.grid = sys.maxsize
            module.attend = softmax_attention
    return twin


def measure_attention(model: nn.Module, size: int, full: bool, device: str, repeats: int) -> dict[str, Any]:
    """Measure forward and backward of a SpT UNet for one image, with its own attention or the full softmax.

    Memory is what is in use above the network's weights and gradients.
    """
    model = (with_full_attention(model) if full else model).to(device)
    speckle = torch.randn(1, 1, size, size, device=device)

    def call() -> None:
        model(speckle).square().mean().backward()

    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with PeakMemory(torch.device(device)) as memory:
        call()
    return {"size": size, "full": full, "seconds": time_call(call, repeats).times, "bytes": memory.bytes}


def table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: size by size, the full softmax over the pooled grid.

    Args:
        rows: of :func:`measure_attention`, pooled and full in turn.
    """
    yield ["px", "pooled, ms", "full softmax, ms", "time ratio", "pooled, MB", "full softmax, MB", "memory ratio"]
    for pooled, full in zip(rows[::2], rows[1::2], strict=True):
        memory = [pooled["bytes"], full["bytes"]]
        yield [
            *(str(pooled["size"]), milliseconds(pooled["seconds"]), milliseconds(full["seconds"])),
            f"{median(full['seconds']) / median(pooled['seconds']):.1f}",
            *map(megabytes, memory),
            f"{memory[1] / memory[0]:.1f}" if all(memory) else "",
        ]


if __name__ == "__main__":
    main()
