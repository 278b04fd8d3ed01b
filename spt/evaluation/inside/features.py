"""Feature maps: what the stages of a network give on the way from speckle to image."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def stages(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network's parts by name; of a list of parts, each."""
    for name, part in model.named_children():
        if isinstance(part, nn.ModuleList):
            yield from ((f"{name}.{number}", inner) for number, inner in enumerate(part))
        else:
            yield name, part


@torch.no_grad()
def feature_maps(model: nn.Module, speckle: Float[Tensor, "1 i h w"]) -> dict[str, Float[Tensor, "_ _ _"]]:
    """Channels of every stage's map for one frame, by the stage's name, in the order of the computation.

    Args:
        model: in evaluation mode.
        speckle: one prepared frame, on the device of the network.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, result: Any) -> None:
        several = isinstance(result, list | tuple)
        for number, value in enumerate(result if several else [result]):
            if isinstance(value, Tensor) and value.ndim == 4:
                found[f"{name}.{number}" if several else name] = value[0].float().cpu()

    hooks = [part.register_forward_hook(lambda _, __, out, name=name: keep(name, out)) for name, part in stages(model)]
    try:
        model(speckle)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def strongest(maps: Float[Tensor, "c h w"], count: int) -> list[int]:
    """Channels whose pixels differ most, the strongest first."""
    return maps.flatten(1).std(1, correction=0).argsort(descending=True)[:count].tolist()
