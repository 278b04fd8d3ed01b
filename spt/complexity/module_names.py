"""Which module an operator belongs to."""

from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class ModuleNames:
    """Inside a ``with`` block ``current`` is the path of the module whose forward runs; "" for the network itself."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        self._stack: list[str] = []

    @property
    def current(self) -> str:
        """Path of the innermost running module."""
        return self._stack[-1] if self._stack else ""

    def __enter__(self) -> "ModuleNames":
        self._stack.clear()
        self._hooks = [
            register_module_forward_pre_hook(self._entered),
            register_module_forward_hook(self._left, always_call=True),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _entered(self, module: nn.Module, args: Any) -> None:
        self._stack.append(self._names.get(module, self.current))

    def _left(self, module: nn.Module, args: Any, out: Any) -> None:
        self._stack.pop()
