"""Count what a network computes, operator by operator, without computing it."""

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spt.complexity.footprint import Following, LiveBytes
from spt.complexity.observation import ModuleNames, converted, state_of, unchanged
from spt.complexity.operators import MOVEMENT, Work, by_the_notes, name_of, rule_for
from spt.complexity.paths import Paths


@dataclass(frozen=True)
class Call:
    """One operator of one forward pass.

    Args:
        operator: its name.
        module: path of the module that called it, "" for the network itself.
        work: its cost.
        bytes: read and written; 0 for views.
        notes: what the formulas of the first and of the second note give, see :func:`by_the_notes`.
    """

    operator: str
    module: str
    work: Work
    bytes: int
    notes: tuple[int, int]


@dataclass(frozen=True)
class Profile:
    """What one forward pass costs; counts are of the whole batch.

    Args:
        batch: images.
        calls: every operator that costs something or moves something.
        uncounted: operator without a known cost -> number of calls.
        data_dependent: operators whose result steers the program; empty where the cost cannot depend on the data.
        depth: operators on the longest path, the minimum number of sequential operations.
        path_length: fewest position-mixing operators between opposite borders, None where nothing links them.
        receptive_field: of one output pixel, y and x [px].
        activation_bytes: greatest sum of the tensors alive at once, the input included, without weights.
        state_bytes: parameters and buffers.
    """

    batch: int
    calls: tuple[Call, ...]
    uncounted: dict[str, int]
    data_dependent: tuple[str, ...]
    depth: int
    path_length: int | None
    receptive_field: tuple[float, float]
    activation_bytes: int
    state_bytes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products: convolutions, linear layers, matrix products, attention."""
        return sum(call.work.macs for call in self.calls)

    @property
    def flops(self) -> int:
        """Two per MAC, nothing else: the convention of torch's FlopCounterMode."""
        return 2 * self.macs

    @property
    def other(self) -> int:
        """Every other floating-point operation."""
        return sum(call.work.other for call in self.calls)

    @property
    def bytes(self) -> int:
        """Memory access cost: bytes that the operators read and write, each for itself (nothing fused)."""
        return sum(call.bytes for call in self.calls)

    @property
    def intensity(self) -> float:
        """Operations per byte moved."""
        return (self.flops + self.other) / max(self.bytes, 1)

    def of(self, *categories: str) -> Work:
        """Cost of the calls in these categories together."""
        numbers = [call.work[1:] for call in self.calls if call.work.category in categories]
        return Work(" + ".join(categories), *map(sum, zip(*numbers, strict=True)))


def profile(model: nn.Module, *inputs: Tensor, dtype: torch.dtype = torch.float32) -> Profile:
    """Count one forward pass in evaluation mode.

    The network runs on fake tensors, which have shapes and no numbers. Where that is impossible (the program depends on
    the data, an operator knows no shapes) it runs once on ``inputs``, and a warning says so. Weights, buffers, modes
    and random state stay as they were; torch's fused fast paths, which hide their operators, are off meanwhile.

    Args:
        model: any network.
        inputs: its arguments; on fake tensors only shape and type matter.
        dtype: what floating-point weights and inputs are converted to; it decides the bytes.
    Warns:
        UserWarning: naming every operator that was not counted, and every one whose result steers the program.
    """
    name = type(model).__name__
    with unchanged(model), torch.inference_mode():
        try:
            with FakeTensorMode(allow_non_fake_inputs=True) as fake:
                state = {key: converted(fake.from_tensor(tensor), dtype) for key, tensor in state_of(model).items()}
                counted = _count(model, state, tuple(converted(fake.from_tensor(x), dtype) for x in inputs))
        except RuntimeError as reason:
            state = {key: converted(tensor.clone(), dtype) for key, tensor in state_of(model).items()}
            counted = _count(model, state, tuple(converted(x, dtype) for x in inputs))
            steering = ", ".join(counted.data_dependent)
            why = f"its program depends on the data ({steering})" if steering else str(reason).splitlines()[0]
            once = "Counted on the one input that was given; others may cost more or less."
            warnings.warn(f"{name}: {why}. {once}", stacklevel=2)
    if counted.uncounted:
        listed = ", ".join(f"{key} ({count}x)" for key, count in sorted(counted.uncounted.items()))
        warnings.warn(f"{name}: not counted, cost unknown: {listed}.", stacklevel=2)
    return counted


def _count(model: nn.Module, state: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Profile:
    with ModuleNames(model) as names, _Counting(names, state, inputs) as counting:
        out = functional_call(model, state, inputs)
    return Profile(
        batch=inputs[0].shape[0],
        calls=tuple(counting.calls),
        uncounted=dict(counting.uncounted),
        data_dependent=tuple(dict.fromkeys(counting.steering)),
        depth=counting.paths.depth(out),
        path_length=counting.paths.path_length(out),
        receptive_field=counting.paths.receptive_field(out),
        activation_bytes=counting.live.peak,
        state_bytes=sum(t.nbytes for t in state.values()),
    )


class _Counting(TorchDispatchMode):
    """Under inference mode every operator arrives whole; what has no cost of its own is taken apart."""

    def __init__(self, names: ModuleNames, state: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.names = names
        self.calls: list[Call] = []
        self.uncounted: Counter[str] = Counter()
        self.steering: list[str] = []
        self.paths = Paths(*inputs)
        self.live = LiveBytes(list(state.values()))
        self.live.see(inputs)

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        rule = rule_for(func)
        if rule is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        name = name_of(func)
        out = self._attended(func, args, kwargs) if name == "scaled_dot_product_attention" else func(*args, **kwargs)
        self.live.see(out)
        work = rule(args, out) if rule else None
        self.paths.follow(name, args, out, moves=work is not None and work.category == MOVEMENT)
        if torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags:
            self.steering.append(name)
        if work is None:
            self.uncounted[name] += 1
        elif not func.is_view:
            moved = sum(t.nbytes for t in tree_leaves((args, out)) if isinstance(t, Tensor))
            self.calls.append(Call(name, self.names.current, work, moved, by_the_notes(name, args, out)))
        return out

    def _attended(self, func: OpOverload, args: Any, kwargs: Any) -> Any:
        """Counted as one operator, but where torch has no fused kernel for it the matrix of weights is in memory."""
        with Following(self.live):
            out = func.decompose(*args, **kwargs)
        return func(*args, **kwargs) if out is NotImplemented else out
