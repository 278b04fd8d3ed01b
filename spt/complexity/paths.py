"""Paths through a network's graph: the longest in operators, and how few operators link two far pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from spt.complexity.footprint import storage_of

Reach = dict[int, float]
"""Operators that mix positions on the way -> the farthest that such a path reaches, as a field [px of the input]."""


@dataclass
class _Node:
    """A tensor: operators before it, and along y and x its reach and the step of its grid [px of the input]."""

    depth: int = 0
    reach: list[Reach] = field(default_factory=lambda: [{0: 1.0}, {0: 1.0}])
    step: list[float] = field(default_factory=lambda: [1.0, 1.0])


Window = tuple[float, float]
"""Along one axis, in steps of the input's grid: how much wider the field grows, and the step of the output's grid."""
POINTWISE, WHOLE = [(0.0, 1.0)] * 2, [(math.inf, 1.0)] * 2


class Paths:
    """Follows every tensor that depends on the input, operator by operator.

    A field is the theoretical receptive field (statistics of normalisations left out). Tokens of an attention reach as
    far as their number covers, so a shifted window stays a window and a pooled grid is the whole image.
    """

    def __init__(self, *inputs: Tensor) -> None:
        self._nodes = {storage_of(x): _Node() for x in inputs}
        self._shape = next((tuple(x.shape[-2:]) for x in inputs if x.ndim == 4), None)

    def follow(self, name: str, args: Sequence[Any], out: Any, moves: bool) -> None:
        """Take one operator into account; views and copies (``moves``) lengthen no path."""
        sources = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and storage_of(leaf) in self._nodes]
        if not sources or name.startswith("new_") or name.endswith("_like"):  # of the shape, not of the values
            return
        nodes = self._of(sources)
        merged = _Node(max(n.depth for n in nodes) + (not moves))
        for axis, (span, scale) in enumerate(self._windows(name, args, sources, out)):
            step = min(n.step[axis] for n in nodes)
            reach: Reach = {}
            for count, extent in (item for n in nodes for item in n.reach[axis].items()):
                mixed = count + (span > 0)
                reach[mixed] = max(extent + span * step, reach.get(mixed, 0))
            merged.reach[axis], merged.step[axis] = reach, step * scale
        self._nodes |= {storage_of(leaf): merged for leaf in tree_leaves(out) if isinstance(leaf, Tensor)}

    def _windows(self, name: str, args: Sequence[Any], sources: list[Tensor], out: Any) -> list[Window]:
        if name == "convolution":
            return _of_convolution(args)
        if name in {"max_pool2d_with_indices", "avg_pool2d"}:
            stride = args[2] if len(args) > 2 and args[2] else args[1]
            return [(k - 1.0, float(s)) for k, s in zip(_pair(args[1]), _pair(stride), strict=True)]
        if "adaptive" in name or name.startswith("upsample"):
            return _resized(args[0], out[0] if isinstance(out, tuple) else out, "nearest" in name)
        if name == "scaled_dot_product_attention":
            return self._tokens(args[1], args[1].shape[-2])
        if name in {"bmm", "baddbmm", "mm"} and len(sources) > 1:
            return self._tokens(sources[-1], max(sources[-1].shape[-2:]))
        over_space = name in {"mean", "sum", "amax", "max"} and args[0].ndim == 4 and _covers_space(args)
        if over_space or name.startswith("_fft") or (name in {"linear", "addmm"} and sources[0].ndim == 2):
            return WHOLE
        return POINTWISE

    def _tokens(self, keys: Tensor, count: int) -> list[Window]:
        step = self._nodes.get(storage_of(keys), _Node()).step
        if self._shape is None or count * math.prod(step) >= math.prod(self._shape):
            return WHOLE
        return [(math.ceil(math.sqrt(count)) - 1.0, 1.0)] * 2

    def depth(self, out: Any) -> int:
        """Operators on the longest path from the input to ``out``."""
        return max((n.depth for n in self._of(out)), default=0)

    def receptive_field(self, out: Any) -> tuple[float, float]:
        """Field of one output pixel along y and x [px]; infinite where it is the whole image."""
        nodes = self._of(out) or [_Node()]
        y, x = (max(max(n.reach[axis].values()) for n in nodes) for axis in (0, 1))
        return y, x

    def path_length(self, out: Any) -> int | None:
        """Fewest operators that mix positions between an input and an output pixel at opposite borders.

        None where no path links them: the field is smaller than the image.
        """
        lengths = []
        for axis, side in enumerate(self._shape or ()):
            linked = [c for n in self._of(out) for c, extent in n.reach[axis].items() if extent >= 2 * side - 1]
            if not linked:
                return None
            lengths.append(min(linked))
        return max(lengths, default=None)

    def _of(self, values: Any) -> list[_Node]:
        tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
        return [self._nodes[storage_of(x)] for x in tensors if storage_of(x) in self._nodes]


def _of_convolution(args: Sequence[Any]) -> list[Window]:
    axes = zip(_pair(args[1].shape[2:]), _pair(args[3]), _pair(args[5]), strict=True)  # kernel, stride, dilation
    if args[6]:  # transposed
        return [(math.ceil(k / s) - 1.0, 1 / s) for k, s, _ in axes]
    return [(d * (k - 1.0), float(s)) for k, s, d in axes]


def _resized(x: Tensor, out: Tensor, nearest: bool) -> list[Window]:
    scales = [n / m for n, m in zip(_pair(x.shape[2:]), _pair(out.shape[2:]), strict=True)]
    return [(0.0 if nearest else max(math.ceil(s) - 1.0, float(s < 1)), s) for s in scales]


def _covers_space(args: Sequence[Any]) -> bool:
    dims = args[1] if len(args) > 1 and args[1] is not None else [2, 3]
    return bool({d % 4 for d in (dims if isinstance(dims, list | tuple) else [dims])} & {2, 3})


def _pair(values: Sequence[int]) -> tuple[int, int]:
    """The last two axes; one axis is x."""
    return (values[-2] if len(values) > 1 else 1, values[-1])
