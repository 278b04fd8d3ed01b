"""Which values may choose the epoch, and in which direction."""

import pytest

from spt.errors import InvalidValue
from spt.heads import BinaryHead, GreyLevelsHead
from spt.metrics import METRICS
from spt.training.monitor import check_monitor, direction, monitored_names

SPLITS = ["val_seen", "val_class", "val_unseen"]


def test_every_metric_of_the_seen_splits_may_choose():
    names = monitored_names(SPLITS, BinaryHead(), calibrated=True)
    assert set(names) == {f"{split}/{m}" for split in ("val_seen", "val_class") for m in (*METRICS, "loss", "ece")}


def test_metrics_of_the_head_are_among_them_and_the_calibration_error_only_where_it_is_logged():
    names = monitored_names(["val_seen"], GreyLevelsHead(8), calibrated=False)
    assert {"val_seen/top1", "val_seen/top5"} <= set(names)
    assert "val_seen/ece" not in names


@pytest.mark.parametrize("name", ["val_unseen/pcc", "val_seem/pcc", "train/loss", "val_seen/pc", "val_seen"])
def test_any_other_value_is_refused_with_the_list(name: str):
    with pytest.raises(InvalidValue, match=rf"monitor\.name={name} is no value .* val_seen/loss, val_seen/pcc, "):
        check_monitor(name, monitored_names(SPLITS, BinaryHead(), calibrated=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("val_seen/loss", "min"), ("val_seen/mse", "min"), ("val_class/mae", "min"), ("val_seen/ece", "min")]
    + [(f"val_seen/{name}", "max") for name in sorted(set(METRICS) - {"mse", "mae"})],
)
def test_the_direction_is_a_property_of_the_metric(name: str, expected: str):
    assert direction(name) == expected
