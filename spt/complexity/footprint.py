"""Memory of a network in inference and in training, from shapes alone, and the size of its weights file."""

import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spt.complexity.observation import converted, state_of, unchanged


class LiveBytes:
    """Bytes of the tensors that are alive, and their peak.

    Args:
        state: tensors that are not counted: weights and buffers.
    """

    def __init__(self, state: list[Tensor]) -> None:
        self._state = {storage_of(tensor) for tensor in state}
        self._alive: dict[StorageWeakRef, int] = {}
        self._at_most = 0
        self.peak = 0

    def see(self, values: Any) -> Any:
        """Count the tensors in ``values`` that are new, and return ``values``.

        Those that are gone are only looked for before a new peak.
        """
        for tensor in tree_leaves(values):
            if isinstance(tensor, Tensor) and (key := storage_of(tensor)) not in self._state and key not in self._alive:
                self._alive[key] = tensor.untyped_storage().nbytes()
                self._at_most += self._alive[key]
        if self._at_most > self.peak:
            self._alive = {key: size for key, size in self._alive.items() if not key.expired()}
            self._at_most = sum(self._alive.values())
            self.peak = max(self.peak, self._at_most)
        return values


class Following(TorchDispatchMode):
    """Inside a ``with`` block every operator's result is seen, also those of the parts that an operator is made of."""

    def __init__(self, live: LiveBytes) -> None:
        super().__init__()
        self.live = live

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "aten":
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        return self.live.see(func(*args, **kwargs))


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step, without the workspaces of the arithmetic.

    Args:
        saved: what the forward pass keeps for the backward pass: the activation memory.
        peak: greatest sum of tensors alive in forward and backward, gradients and input included, weights not.
        optimizer: AdamW's two moments.
        weights: parameters and buffers.
    """

    saved: int
    peak: int
    optimizer: int
    weights: int

    @property
    def total(self) -> int:
        """Peak memory of training: weights, moments, and what lives at the worst moment."""
        return self.weights + self.optimizer + self.peak


def training_memory(model: nn.Module, x: Tensor, dtype: torch.dtype = torch.float32) -> TrainingMemory:
    """Follow one forward and backward pass in training mode on tensors without numbers.

    Weights, statistics, modes and random state stay as they were. Everything is of type ``dtype``: mixed precision
    lies between its two types.

    Args:
        model: a network that maps one tensor to one tensor.
        x: its input.
        dtype: of weights, activations and gradients.
    """
    with unchanged(model, training=True), torch.enable_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
        state = {
            name: converted(fake.from_tensor(t).detach(), dtype).requires_grad_(t.requires_grad)
            for name, t in state_of(model).items()
        }
        image = converted(fake.from_tensor(x), dtype)
        saved, live = LiveBytes([*state.values()]), LiveBytes([*state.values()])
        live.see(image)
        with Following(live), torch.autograd.graph.saved_tensors_hooks(saved.see, lambda tensor: tensor):
            out = functional_call(model, state, (image,))
            kept = saved.peak
            sum(leaf.float().square().mean() for leaf in tree_leaves(out)).backward()
    trained = sum(t.nbytes for t in state.values() if t.requires_grad)
    return TrainingMemory(kept, live.peak, 2 * trained, sum(t.nbytes for t in state.values()))


def file_bytes(model: nn.Module, dtype: torch.dtype = torch.float32) -> int:
    """Size of ``torch.save(model.state_dict())`` in that type."""
    state, file = model.state_dict(), io.BytesIO()
    for name, tensor in state.items():
        state[name] = converted(tensor, dtype)
    torch.save(state, file)
    return file.tell()


def storage_of(tensor: Tensor) -> StorageWeakRef:
    """The memory of a tensor, which its views share; it does not keep the memory alive."""
    return StorageWeakRef(tensor.untyped_storage())
