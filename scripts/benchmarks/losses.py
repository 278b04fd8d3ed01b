"""Every loss, forward and backward, against the losses of SMP and MONAI.

OMP_NUM_THREADS=1 python scripts/benchmarks/losses.py --repeats 15
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from machine import built, each, hardware, names, parser, positive, show
from rounds import in_turn, milliseconds
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def main() -> None:
    """Measure every loss that goes with a head; a head and a size share a process."""
    options = parser(__doc__, sizes=[256], repeats=7)
    options.add_argument("--losses", nargs="+", choices=names("loss"), default=names("loss"), metavar="NAME")
    options.add_argument("--batch", type=positive, default=8)
    asked = options.parse_args()
    for package in ("segmentation_models_pytorch", "monai"):
        if importlib.util.find_spec(package) is None:
            options.error(f"this benchmark compares with {package}, which is missing: pip install -e '.[dev]'")
    same = {"losses": asked.losses, "batch": asked.batch, "repeats": asked.repeats}
    cases = [{"head": head, "size": size, **same} for head in ("binary", "two_class") for size in asked.sizes]
    rows = [row for case in each(measure, cases) for row in case]
    show(table(rows), f"{hardware()}, float32, processor time, median of {asked.repeats} rounds.")


def measure(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure every loss that goes with the head, in one process: importing SMP and MONAI takes the longest."""
    head = case.pop("head")
    channels = built(f"head={head}", part="head").channels
    losses = {name: built(f"loss={name}", f"head={head}", part="loss") for name in case.pop("losses")}
    return [measure_loss(n, loss, channels, **case) for n, loss in losses.items() if head in loss.heads]


def measure_loss(name: str, loss: Loss, channels: int, size: int, batch: int, repeats: int) -> dict[str, Any]:
    """Measure forward and backward of a loss and of its counterparts, in turn.

    Args:
        name: of the loss's configuration, which finds the counterparts.
        loss: called with (logits, target).
        channels: one sigmoid channel, or two softmax classes.
        size: side of the images [px].
        batch: images.
        repeats: timed rounds; every round calls each once.
    Returns:
        ``loss``, ``shape``, ``seconds`` of processor time and ``ratio`` (counterpart -> median over rounds of ours /
        theirs).
    """
    logits = torch.randn(batch, channels, size, size, requires_grad=True)
    lit = (torch.rand(batch, 1, size, size) > 0.9).float()
    target = lit if channels == 1 else torch.cat([lit, 1 - lit], dim=1)
    ways = {"ours": loss, **counterparts(name, channels)}
    calls = {key: _forward_backward(way, logits, target) for key, way in ways.items()}
    times = in_turn(calls, repeats, time.process_time)
    ours = times.pop("ours")
    ratios = {key: [a / b for a, b in zip(ours, theirs, strict=True)] for key, theirs in times.items()}
    return {
        "loss": name,
        "shape": tuple(logits.shape),
        "seconds": ours,
        "ratio": {key: median(values) for key, values in ratios.items()},
    }


def _forward_backward(loss: Loss, logits: Tensor, target: Tensor) -> Callable[[], None]:
    def call() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return call


def counterparts(name: str, channels: int) -> dict[str, Loss]:
    """The losses of SMP and MONAI of the same purpose, each given targets in the form it wants."""
    import monai.losses as monai
    import segmentation_models_pytorch.losses as smp

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
        parts = [counterparts(part, channels)["SMP"] for part in name.split("_")]
        found["SMP"] = lambda logits, target: parts[0](logits, target) + parts[1](logits, target)
    if name in monai_losses:
        found["MONAI"] = monai_losses[name]()
    return found


def _of_classes(loss: Loss) -> Loss:
    return lambda logits, target: loss(logits, target[:, 1].long())


def _of_sigmoid(loss: Loss) -> Loss:
    return lambda logits, target: loss(logits.sigmoid(), target)


def table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure_loss`.
    """
    yield ["loss", "logits", "CPU ms (min..max)", "/ SMP", "/ MONAI"]
    for row in rows:
        ratios = (f"{row['ratio'][key]:.2f}" if key in row["ratio"] else "" for key in ("SMP", "MONAI"))
        yield [row["loss"], str(row["shape"]), milliseconds(row["seconds"]), *ratios]


if __name__ == "__main__":
    main()
