"""The losses' formulas as printed, step by step, and the buffers that a forward pass keeps."""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from spt.metrics.image import ssim_map

Loss = Callable[[Tensor, Tensor], Tensor]


def plain(name: str) -> Loss:
    """The formula of a loss as the notes or its paper print it; a compound ``a_b`` is the sum of both.

    One channel is a sigmoid, more are a softmax. Nothing guards against log 0 or 0 / 0.

    Raises:
        ValueError: if there is none.
    """
    if name in PRINTED:
        return lambda logits, target: PRINTED[name](_probabilities(logits), target)
    if "_" not in name:
        raise ValueError(f"no formula of {name}; there are {', '.join(PRINTED)} and pairs of them.")
    first, second = (plain(part) for part in name.rsplit("_", 1))
    return lambda logits, target: first(logits, target) + second(logits, target)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def _bce(p: Tensor, t: Tensor) -> Tensor:
    return (-t * p.log() - (1 - t) * (1 - p).log()).mean()


def _weighted_bce(p: Tensor, t: Tensor) -> Tensor:
    return (-(1 - t).sum() / t.sum() * t * p.log() - (1 - t) * (1 - p).log()).mean()


def _ce(p: Tensor, t: Tensor) -> Tensor:
    return -(t * p.log()).sum(1).mean()


def _focal(p: Tensor, t: Tensor) -> Tensor:
    p, t = p[:, :1], t[:, :1]
    return (-0.25 * (1 - p) ** 2 * t * p.log() - 0.75 * p**2 * (1 - t) * (1 - p).log()).mean()


def _dice(p: Tensor, t: Tensor) -> Tensor:
    return (1 - 2 * (t * p).sum((2, 3)) / (t + p).sum((2, 3))).mean()


def _iou(p: Tensor, t: Tensor) -> Tensor:
    return (1 - (t * p).sum((2, 3)) / (t + p - t * p).sum((2, 3))).mean()


def _npcc(p: Tensor, t: Tensor) -> Tensor:
    p, t = p - p.mean((2, 3), keepdim=True), t - t.mean((2, 3), keepdim=True)
    return -((p * t).sum((2, 3)) / ((p**2).sum((2, 3)) * (t**2).sum((2, 3))).sqrt()).mean()


PRINTED: dict[str, Loss] = {
    "bce": _bce,
    "weighted_bce": _weighted_bce,
    "ce": _ce,
    "focal": _focal,
    "dice": _dice,
    "iou": _iou,
    "npcc": _npcc,
    "mse": lambda p, t: ((p - t) ** 2).mean(),
    "l1": lambda p, t: (p - t).abs().mean(),
    "ssim": lambda p, t: 1 - ssim_map(p, t).mean(),
}


def kept_buffers(call: Callable[[], object], numel: int) -> int:
    """Count the storages of at least ``numel / 2`` elements that a forward pass keeps for backward, inputs included."""
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def pack(saved: Tensor) -> _Kept:
        kept.add(box := _Kept(saved))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.saved):
        result = call()
    large = {box.saved.untyped_storage().data_ptr() for box in kept if _elements(box.saved) >= numel / 2}
    del result
    return len(large)


class _Kept:
    """What the graph holds in place of a saved tensor, and drops with it."""

    def __init__(self, saved: Tensor) -> None:
        self.saved = saved.detach()  # with its graph it would keep itself alive


def _elements(saved: Tensor) -> float:
    return saved.untyped_storage().nbytes() / saved.element_size()
