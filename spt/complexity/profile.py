"""Count what a network computes, operator by operator, without computing it."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spt.complexity.live_memory import Following, LiveBytes
from spt.complexity.module_names import ModuleNames
from spt.complexity.notes_formulas import formulas
from spt.complexity.operators import MOVEMENT, OTHERS, PRODUCTS, Work, name_of, rule_for
from spt.complexity.paths import Paths


@dataclass(frozen=True)
class Call:
    """One operator of one forward pass.

    Args:
        operator: its name.
        module: path of the module that called it, "" for the network itself.
        work: its cost.
        bytes: read and written; 0 for views.
        notes: what the notes' own formulas give, see :func:`formulas`.
        second_note: what the second note's give.
    """

    operator: str
    module: str
    work: Work
    bytes: int
    notes: int
    second_note: int


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
        chosen = [call.work for call in self.calls if call.work.category in categories]
        sums = (sum(values) for values in zip(*((w.macs, w.other, w.bias) for w in chosen), strict=True))
        return Work(" + ".join(categories), *sums)

    def by_category(self) -> dict[str, Work]:
        """Cost of every category that occurs, products first."""
        present = {call.work.category for call in self.calls}
        return {name: self.of(name) for name in (*PRODUCTS, *OTHERS, MOVEMENT) if name in present}


def profile(model: nn.Module, *inputs: Tensor, dtype: torch.dtype = torch.float32) -> Profile:
    """Count one forward pass in evaluation mode.

    The network runs on fake tensors, which have shapes and no numbers. Where that is impossible (the program depends on
    the data, an operator knows no shapes) it runs once on ``inputs``, and a warning says so. Weights, buffers, modes
    and random state stay as they were; torch's fused fast paths, which hide their operators, are off meanwhile.

    Args:
        model: any network.
        inputs: its arguments; on fake tensors only shape and type matter.
        dtype: what floating-point weights and inputs are converted to; it decides the bytes.
    Returns:
        The counts.
    Warns:
        UserWarning: naming every operator that was not counted, and every one whose result steers the program.
    """
    with unchanged(model), torch.inference_mode():
        try:
            with FakeTensorMode(allow_non_fake_inputs=True) as fake:
                state = {name: converted(fake.from_tensor(tensor), dtype) for name, tensor in state_of(model).items()}
                counted = _count(model, state, tuple(converted(fake.from_tensor(x), dtype) for x in inputs))
        except RuntimeError as reason:
            state = {name: converted(tensor.clone(), dtype) for name, tensor in state_of(model).items()}
            counted = _count(model, state, tuple(converted(x, dtype) for x in inputs))
            _warn_real(model, counted, reason)
    if counted.uncounted:
        listed = ", ".join(f"{name} ({count}x)" for name, count in sorted(counted.uncounted.items()))
        warnings.warn(f"{type(model).__name__}: not counted, cost unknown: {listed}.", stacklevel=2)
    return counted


def _warn_real(model: nn.Module, counted: Profile, reason: RuntimeError) -> None:
    steering = ", ".join(counted.data_dependent)
    why = f"its program depends on the data ({steering})" if steering else str(reason).splitlines()[0]
    warnings.warn(
        f"{type(model).__name__}: {why}. Counted on the one input that was given; others may cost more or less.",
        stacklevel=3,
    )


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in another floating-point type; integers stay."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _count(model: nn.Module, state: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Profile:
    with ModuleNames(model) as names, _Counting(names, state, inputs) as counting:
        out = functional_call(model, state, inputs)
    return counting.result(out, inputs)


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
        self.state_bytes = sum(t.numel() * t.element_size() for t in state.values())
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
            self._record(name, work, args, out)
        return out

    def _attended(self, func: OpOverload, args: Any, kwargs: Any) -> Any:
        """Counted as one operator, but where torch has no fused kernel for it the matrix of weights is in memory."""
        with Following(self.live):
            out = func.decompose(*args, **kwargs)
        return func(*args, **kwargs) if out is NotImplemented else out

    def _record(self, name: str, work: Work, args: Any, out: Any) -> None:
        moved = sum(t.numel() * t.element_size() for t in tree_leaves((args, out)) if isinstance(t, Tensor))
        self.calls.append(Call(name, self.names.current, work, moved, *formulas(name, args, out)))

    def result(self, out: Any, inputs: tuple[Tensor, ...]) -> Profile:
        return Profile(
            inputs[0].shape[0],
            tuple(self.calls),
            dict(self.uncounted),
            tuple(dict.fromkeys(self.steering)),
            self.paths.depth(out),
            self.paths.path_length(out),
            self.paths.receptive_field(out),
            self.live.peak,
            self.state_bytes,
        )


@contextmanager
def unchanged(model: nn.Module, training: bool = False) -> Iterator[None]:
    """Evaluation (or training) mode without fused fast paths inside; modes and random state as before outside."""
    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        model.train(training)
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        with torch.random.fork_rng(gpus):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes.items():
            module.training = mode
