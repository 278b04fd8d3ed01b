"""The monitored value: which there are, and whether more or less of it is better."""

from collections.abc import Iterable

import torch

from spt.errors import InvalidValue
from spt.heads import Head
from spt.metrics import LOWER_IS_BETTER, METRICS


def monitored_names(splits: Iterable[str], head: Head, calibrated: bool) -> list[str]:
    """Every value that may choose the epoch: of splits whose diffusers were trained.

    Args:
        splits: that validation watches.
        head: may bring metrics of its own.
        calibrated: whether the calibration error is logged.
    """
    logits = torch.zeros(1, head.channels, 16, 16)
    own = head.logit_metrics(logits, head.encode(torch.zeros(1, 1, 16, 16)))
    metrics = ["loss", *METRICS, *own, *(["ece"] if calibrated else [])]
    return [f"{split}/{metric}" for split in splits if not split.endswith("_unseen") for metric in metrics]


def check_monitor(name: str, names: list[str]) -> None:
    """Refuse a monitor that validation does not log.

    Raises:
        InvalidValue: with the list. Unseen splits are not on it: an epoch chosen by them would be tuned on the test.
    """
    if name not in names:
        raise InvalidValue(f"monitor.name={name} is no value that can choose the epoch. There are {', '.join(names)}.")


def direction(name: str) -> str:
    """``min`` where less is better, else ``max``: a property of the metric, not a setting."""
    return "min" if name.rpartition("/")[2] in LOWER_IS_BETTER else "max"
