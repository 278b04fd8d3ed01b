"""Run a network without changing it, and know which of its modules runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in another floating-point type; integers stay."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


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


class ModuleNames:
    """Inside a ``with`` block ``current`` is the path of the module whose forward runs; "" for the network itself.

    Args:
        model: the network.
        before_change: called whenever another module is about to begin or to go on.
    """

    def __init__(self, model: nn.Module, before_change: Callable[[], None] = lambda: None) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        self._stack: list[str] = []
        self._before_change = before_change

    @property
    def current(self) -> str:
        """Path of the innermost running module."""
        return self._stack[-1] if self._stack else ""

    def __enter__(self) -> "ModuleNames":
        self._stack.clear()
        before = register_module_forward_pre_hook(self._entered)
        self._hooks = (before, register_module_forward_hook(self._left, always_call=True))
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _entered(self, module: nn.Module, args: Any) -> None:
        self._before_change()
        self._stack.append(self._names.get(module, self.current))

    def _left(self, module: nn.Module, args: Any, out: Any) -> None:
        self._before_change()
        self._stack.pop()
