"""Bytes that a network's tensors hold at once, followed without computing them."""

from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes:
    """Bytes of the tensors that are alive, and their peak.

    Args:
        state: tensors that are not counted: weights and buffers.
    """

    def __init__(self, state: list[Tensor]) -> None:
        self._state = {_key(tensor) for tensor in state}
        self._alive: dict[StorageWeakRef, int] = {}
        self._at_most = 0
        self.peak = 0

    def see(self, values: Any) -> None:
        """Count the tensors in ``values`` that are new. Those that are gone are only looked for before a new peak."""
        for tensor in tree_leaves(values):
            if isinstance(tensor, Tensor) and (key := _key(tensor)) not in self._state and key not in self._alive:
                self._alive[key] = tensor.untyped_storage().nbytes()
                self._at_most += self._alive[key]
        if self._at_most > self.peak:
            self._alive = {key: size for key, size in self._alive.items() if not key.expired()}
            self._at_most = sum(self._alive.values())
            self.peak = max(self.peak, self._at_most)


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
        out = func(*args, **kwargs)
        self.live.see(out)
        return out


def _key(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())
