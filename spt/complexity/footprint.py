"""Memory of a network in inference and in training, from shapes alone, and the size of its weights file."""

import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from spt.complexity.live_memory import Following, LiveBytes
from spt.complexity.profile import converted, state_of, unchanged


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step; the arithmetic's own workspaces are not in it.

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
        state = {name: _leaf(fake.from_tensor(t), dtype, t.requires_grad) for name, t in state_of(model).items()}
        image = converted(fake.from_tensor(x), dtype)
        saved, live = LiveBytes([*state.values()]), LiveBytes([*state.values()])
        live.see(image)
        with Following(live), torch.autograd.graph.saved_tensors_hooks(lambda t: _seen(saved, t), lambda t: t):
            out = functional_call(model, state, (image,))
            kept = saved.peak
            sum(leaf.float().square().mean() for leaf in tree_leaves(out)).backward()
    trained = sum(_bytes(t) for t in state.values() if t.requires_grad)
    return TrainingMemory(kept, live.peak, 2 * trained, sum(map(_bytes, state.values())))


def _leaf(tensor: Tensor, dtype: torch.dtype, trained: bool) -> Tensor:
    return converted(tensor.detach(), dtype).requires_grad_(trained)


def _seen(saved: LiveBytes, tensor: Tensor) -> Tensor:
    saved.see(tensor)
    return tensor


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def parameter_bytes(model: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, int]:
    """Bytes of parameters and buffers by their data type, floating-point numbers converted to ``dtype``."""
    sizes: dict[str, int] = {}
    for tensor in (converted(t.detach().to("meta"), dtype) for t in state_of(model).values()):
        name = str(tensor.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + _bytes(tensor)
    return sizes


def file_bytes(model: nn.Module, dtype: torch.dtype = torch.float32) -> int:
    """Size of ``torch.save(model.state_dict())`` in that type, by writing it to nowhere."""
    state, sink = model.state_dict(), _Sink()
    for name, tensor in state.items():
        state[name] = converted(tensor, dtype)
    torch.save(state, sink)
    return sink.size


class _Sink(io.BytesIO):
    """Counts what is written and keeps none of it."""

    size = 0

    def write(self, data: Any) -> int:
        written = memoryview(data).nbytes
        self.size += written
        return written
