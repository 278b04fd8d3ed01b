"""Activation checkpointing: less memory for one more forward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_activations(model: nn.Module) -> None:
    """Keep only the inputs of the network's stages, and run each stage again in the backward pass.

    A stage is a direct child of the network, or an entry of a child that is a list or dictionary of modules. Gradients,
    BatchNorm statistics and the state_dict stay what they are without.

    Args:
        model: changed in place.
    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (2016); ``torch.utils.checkpoint``.
        Differs: BatchNorm statistics are updated by the first pass only.
    """
    for stage in _stages(model):
        if next(stage.parameters(), None) is not None:
            stage.forward = partial(_run, stage, stage.forward)


def _stages(model: nn.Module) -> Iterator[nn.Module]:
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from child.children()
        else:
            yield child


def _run(stage: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not stage.training:
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, stage))


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _frozen_statistics(stage)


@contextmanager
def _frozen_statistics(stage: nn.Module) -> Iterator[None]:
    """Normalise by the batch as in the first pass, and leave the running statistics alone."""
    norms = [m for m in stage.modules() if isinstance(m, _BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    counts = [None if batches is None else batches.clone() for _, _, batches in kept]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for (norm, momentum, batches), count in zip(kept, counts, strict=True):
            norm.momentum = momentum
            if batches is not None and count is not None:
                batches.copy_(count)
