"""Speckle and target that are exchanged are noticed; neither real speckles nor grey objects raise an alarm."""

import pytest
import torch

from spt.data.exchanged import exchanged, extremes
from spt.data.pairs import Pairs

GENERATOR = torch.Generator().manual_seed(0)
INTENSITY = torch.empty(20, 32, 32).exponential_(generator=GENERATOR)
SPECKLE = (20 * INTENSITY).clamp(max=255).to(torch.uint8)
MASKS = (torch.rand(20, 32, 32, generator=GENERATOR) < 0.2).to(torch.uint8) * 255
GREY = (20 + 200 * torch.rand(20, 32, 32, generator=GENERATOR)).to(torch.uint8)


def pairs(speckle, target):
    return Pairs("train", speckle, target, torch.zeros(len(speckle), dtype=torch.long))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_the_exchanged_pairs_are_said(dtype):
    said = exchanged(pairs(MASKS.to(dtype), SPECKLE))
    assert "speckles of train look like objects: 100% of their pixels" in said
    assert exchanged(pairs(SPECKLE.to(dtype), MASKS)) is None


@pytest.mark.parametrize(
    ("speckle", "target"),
    [(SPECKLE, GREY), (GREY, SPECKLE), (SPECKLE, SPECKLE), (MASKS, MASKS), (INTENSITY, MASKS)],
    ids=["grey objects", "grey objects exchanged", "two speckles", "two objects", "float speckle"],
)
def test_what_cannot_be_told_is_not_said(speckle, target):
    assert exchanged(pairs(speckle, target)) is None


def test_the_share_of_extreme_pixels():
    image = torch.tensor([[[0, 0, 9, 9], [1, 2, 3, 4]], [[5, 5, 5, 5], [5, 5, 5, 5]]], dtype=torch.uint8)
    assert extremes(image) == pytest.approx((4 + 8) / 16)
