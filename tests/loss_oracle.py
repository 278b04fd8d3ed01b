"""The formulas as the notes and the papers print them, step by step. Nothing guards against log 0 or 0 / 0."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def printed(name: str) -> Loss:
    """The formula of a loss; a compound ``a_b`` is the sum of both. One channel is a sigmoid, more are a softmax."""
    if name in PRINTED:
        return lambda logits, target: PRINTED[name](probabilities(logits), target)
    first, second = (printed(part) for part in name.rsplit("_", 1))
    return lambda logits, target: first(logits, target) + second(logits, target)


def probabilities(logits: Tensor) -> Tensor:
    return 1 / (1 + (-logits).exp()) if logits.shape[1] == 1 else logits.exp() / logits.exp().sum(1, keepdim=True)


def _bce(p: Tensor, t: Tensor) -> Tensor:
    return (-t * p.log() - (1 - t) * (1 - p).log()).mean()


def _weighted_bce(p: Tensor, t: Tensor) -> Tensor:
    return (-(1 - t).sum() / t.sum() * t * p.log() - (1 - t) * (1 - p).log()).mean()


def _ce(p: Tensor, t: Tensor) -> Tensor:
    return -(t * p.log()).sum(1).mean()


def _focal(p: Tensor, t: Tensor) -> Tensor:
    if p.shape[1] == 1:
        return (-0.25 * (1 - p) ** 2 * t * p.log() - 0.75 * p**2 * (1 - t) * (1 - p).log()).mean()
    return -(torch.tensor([0.25, 0.75]).view(2, 1, 1) * t * (1 - p) ** 2 * p.log()).sum(1).mean()


def _dice(p: Tensor, t: Tensor) -> Tensor:
    return (1 - 2 * (t * p).sum((2, 3)) / (t + p).sum((2, 3))).mean()


def _iou(p: Tensor, t: Tensor) -> Tensor:
    return (1 - (t * p).sum((2, 3)) / (t + p - t * p).sum((2, 3))).mean()


def _npcc(p: Tensor, t: Tensor) -> Tensor:
    p, t = p - p.mean((2, 3), keepdim=True), t - t.mean((2, 3), keepdim=True)
    return -((p * t).sum((2, 3)) / ((p**2).sum((2, 3)) * (t**2).sum((2, 3))).sqrt()).mean()


def _ssim(p: Tensor, t: Tensor) -> Tensor:
    at = torch.arange(-5, 6, dtype=p.dtype)
    window = torch.exp(-(at**2) / (2 * 1.5**2))
    window = torch.outer(window, window)[None, None] / window.sum() ** 2

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window)

    mp, mt = blur(p), blur(t)
    vp, vt, cov = blur(p * p) - mp**2, blur(t * t) - mt**2, blur(p * t) - mp * mt
    s = (2 * mp * mt + 0.01**2) * (2 * cov + 0.03**2) / ((mp**2 + mt**2 + 0.01**2) * (vp + vt + 0.03**2))
    return 1 - s.mean()


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
    "ssim": _ssim,
}
