"""Attention weights of a network, taken from the very queries and keys that it computes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Size = tuple[int, int]


@dataclass(frozen=True)
class AttentionMap:
    """What the pixels of one layer's map attend to.

    Args:
        layer: name of the layer in the network.
        weights: for each frame, head and query the shares of the keys; they sum to 1.
        queries: height and width of the map of the queries.
        keys: height and width of the map of the keys.
        gate: learned factor of what the layer adds to its map; None where it has none. With 0 it adds nothing.
    """

    layer: str
    weights: Float[Tensor, "b n q k"]
    queries: Size
    keys: Size
    gate: float | None = None

    def read_by(self, place: tuple[float, float]) -> Float[Tensor, "b h w"]:
        """Shares that a pixel reads from each cell of the key map, as the mean of the heads.

        Args:
            place: y and x of the pixel's centre, each from 0 to 1 over the image.
        """
        row, column = (min(int(at * pixels), pixels - 1) for at, pixels in zip(place, self.queries, strict=True))
        return self.weights[:, :, row * self.queries[1] + column].mean(1).unflatten(-1, self.keys)


@dataclass
class Recorded:
    """Attention of one pass through a network.

    Args:
        maps: one for each layer whose queries and keys are the pixels or cells of maps.
        others: names of layers that attend otherwise, such as within windows.
    """

    maps: list[AttentionMap] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@torch.no_grad()
def attention_maps(model: nn.Module, speckle: Float[Tensor, "b i h w"]) -> Recorded:
    """Attention weights of every layer that calls torch's ``scaled_dot_product_attention``.

    Args:
        model: in evaluation mode.
        speckle: prepared frames, on the device of the network.
    """
    recorded, running = Recorded(), list[_Call]()
    with _followed(model, running), _Listening(running, recorded):
        model(speckle)
    return recorded


@dataclass(frozen=True)
class _Call:
    """A layer at work, with the maps that it was given."""

    name: str
    layer: nn.Module
    maps: list[Tensor]

    def recorded(self, weights: Tensor) -> AttentionMap | None:
        """The attention as a map; None where queries or keys are no maps."""
        if not self.maps:
            return None
        queries, context = ((m.shape[-2], m.shape[-1]) for m in (self.maps[0], self.maps[-1]))
        grid = getattr(self.layer, "grid", max(context))
        keys = (min(grid, context[0]), min(grid, context[1]))
        if (math.prod(queries), math.prod(keys)) != tuple(weights.shape[-2:]) or len(weights) != len(self.maps[0]):
            return None
        gate = getattr(self.layer, "gamma", None)
        return AttentionMap(self.name, weights, queries, keys, None if gate is None else float(gate))


@contextmanager
def _followed(model: nn.Module, running: list[_Call]) -> Iterator[None]:
    """Keep the layers that are at work in ``running``, the innermost last."""

    def enter(name: str, layer: nn.Module, given: tuple[Any, ...]) -> None:
        running.append(_Call(name, layer, [value for value in given if isinstance(value, Tensor) and value.ndim == 4]))

    hooks = [
        hook
        for name, layer in model.named_modules()
        for hook in (
            layer.register_forward_pre_hook(lambda layer, given, name=name: enter(name, layer, given)),
            layer.register_forward_hook(lambda *_: running.pop() and None, always_call=True),
        )
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Listening(TorchFunctionMode):
    """Computes the weights of every call of torch's attention from its own arguments; the call itself goes on."""

    def __init__(self, running: list[_Call], recorded: Recorded) -> None:
        super().__init__()
        self.running, self.recorded = running, recorded

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and self.running:
            call = self.running[-1]
            plain = len(args) == 3 and not set(kwargs) - {"scale"}
            found = call.recorded(_weights(args[0], args[1], kwargs.get("scale"))) if plain else None
            if found is None:
                self.recorded.others.append(call.name)
            else:
                self.recorded.maps.append(found)
        return func(*args, **kwargs)


def _weights(
    query: Float[Tensor, "b n q d"], key: Float[Tensor, "b n k d"], scale: float | None
) -> Float[Tensor, "b n q k"]:
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return (query.float() @ key.float().mT * factor).softmax(-1)
