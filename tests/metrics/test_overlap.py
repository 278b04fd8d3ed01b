import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_f1_score,
    binary_jaccard_index,
    binary_precision,
    binary_recall,
)

from spt.metrics import accuracy, dice, ji, precision, recall

ALL = {"ji": ji, "dice": dice, "accuracy": accuracy, "precision": precision, "recall": recall}


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ji", 1 / 4), ("dice", 2 / 5), ("accuracy", 1 / 4), ("precision", 1 / 3), ("recall", 1 / 2)],
)
def test_by_hand(name, value):
    # Lit: {0, 1, 3} and {0, 2}; the threshold itself counts as lit.
    assert ALL[name](image(0.9, 0.5, 0.49, 0.7), image(1.0, 0.0, 0.5, 0.0)).item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_threshold_is_of_both_images(name):
    # At .6 both have pixel 0 alone.
    assert ALL[name](image(0.9, 0.5, 0.1, 0.49), image(1.0, 0.0, 0.5, 0.0), threshold=0.6).item() == 1


@pytest.mark.parametrize("name", ALL)
def test_empty_images_by_one_rule(name):
    """Both empty counts 1, one empty and the other not counts 0."""
    empty, full = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    cases = [(empty, empty), (full, empty), (empty, full), (full, full)]
    assert [ALL[name](pred, target).item() for pred, target in cases] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("ji", binary_jaccard_index),
        ("dice", binary_f1_score),
        ("accuracy", binary_accuracy),
        ("precision", binary_precision),
        ("recall", binary_recall),
    ],
)
def test_equals_torchmetrics_image_by_image(name, reference):
    pred, target = torch.rand(2, 6, 1, 17, 23, generator=torch.Generator().manual_seed(0)).unbind()
    target = target * torch.linspace(0.55, 1, 6).view(6, 1, 1, 1)
    expected = [reference(p, (t >= 0.5).int()) for p, t in zip(pred, target, strict=True)]
    np.testing.assert_allclose(ALL[name](pred, target), expected, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_counts_do_not_overflow_in_half_precision(name, dtype):
    # 65,536 lit pixels are more than float16 can count.
    pred, target = torch.ones(1, 1, 256, 256, dtype=dtype), torch.ones(1, 1, 256, 256, dtype=dtype)
    target[..., :64] = 0
    value = {"ji": 0.75, "dice": 6 / 7, "accuracy": 0.75, "precision": 0.75, "recall": 1.0}[name]
    assert ALL[name](pred, target).item() == pytest.approx(value, abs=1e-12)
