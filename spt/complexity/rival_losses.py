"""The formulas as printed, step by step, and the losses of SMP and MONAI of the same purpose."""

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


def rivals(name: str, channels: int) -> dict[str, Loss]:
    """The losses of SMP and MONAI of the same purpose, each given targets in the form it wants.

    Raises:
        ValueError: if a package is missing.
    """
    try:
        import monai.losses as monai
        import segmentation_models_pytorch.losses as smp
    except ImportError as error:
        raise ValueError(
            f"`losses` compares with SMP and MONAI, and {error.name} is missing: pip install spt[dev]."
        ) from None
    one = channels == 1
    mode = "binary" if one else "multiclass"
    smp_losses: dict[str, Callable[[], Loss]] = {
        "bce": lambda: smp.SoftBCEWithLogitsLoss(),
        "weighted_bce": lambda: smp.SoftBCEWithLogitsLoss(pos_weight=torch.tensor(9.0)),
        "ce": lambda: smp.SoftCrossEntropyLoss(smooth_factor=0.0),
        "focal": lambda: smp.FocalLoss(mode, alpha=0.25, gamma=2.0),
        "dice": lambda: smp.DiceLoss(mode),
        "iou": lambda: smp.JaccardLoss(mode),
    }
    monai_losses: dict[str, Callable[[], Loss]] = {
        "focal": lambda: monai.FocalLoss(alpha=0.25, gamma=2.0, use_softmax=not one),
        "dice": lambda: monai.DiceLoss(sigmoid=one, softmax=not one),
        "iou": lambda: monai.DiceLoss(jaccard=True, sigmoid=one, softmax=not one),
        "bce_dice": lambda: monai.DiceCELoss(sigmoid=one, softmax=not one),
        "bce_iou": lambda: monai.DiceCELoss(jaccard=True, sigmoid=one, softmax=not one),
        "ce_dice": lambda: monai.DiceCELoss(sigmoid=one, softmax=not one),
        "focal_dice": lambda: monai.DiceFocalLoss(alpha=0.25, gamma=2.0, sigmoid=one, softmax=not one),
        "ssim": lambda: _of_sigmoid(monai.SSIMLoss(spatial_dims=2, win_size=11, kernel_sigma=1.5)),
    }
    found: dict[str, Loss] = {}
    if name in smp_losses:
        loss = smp_losses[name]()
        found["SMP"] = loss if one else _of_classes(loss)
    elif name in ("bce_dice", "bce_iou", "ce_dice", "focal_dice"):
        parts = [rivals(part, channels)["SMP"] for part in name.split("_")]
        found["SMP"] = lambda logits, target: parts[0](logits, target) + parts[1](logits, target)
    if name in monai_losses:
        found["MONAI"] = monai_losses[name]()
    return found


def _of_classes(loss: Loss) -> Loss:
    return lambda logits, target: loss(logits, target[:, 1].long())


def _of_sigmoid(loss: Loss) -> Loss:
    return lambda logits, target: loss(logits.sigmoid(), target)
