"""Pairs that no training can use are refused before the first epoch."""

from functools import partial

import pytest
import torch

from spt.data.leaks import check_leaks
from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude, Correction
from spt.data.unusable import refuse_unusable

FRAMES = 0.1 + 0.8 * torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0))


def look(speckle=FRAMES, target=FRAMES, preparation=None, start=0):
    pairs = Pairs("train", FRAMES.repeat(2, 1, 1), FRAMES.repeat(2, 1, 1), torch.zeros(12, dtype=torch.long))
    refuse_unusable(pairs, start, speckle, target, preparation or Amplitude())


def changed(index, value):
    frames = FRAMES.clone()
    frames[index] = value
    return frames


def test_good_pairs_pass():
    look()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_pixel_that_is_no_number(value):
    with pytest.raises(ValueError, match=r"speckle of train pair 4: 1\.56% of the pixels are NaN or infinite"):
        look(changed((4, 3, 3), value))


def test_the_pair_is_named_by_its_place_in_the_split():
    with pytest.raises(ValueError, match=r"speckle of train pair 8: constant, every pixel is 0\.5"):
        look(changed(2, 0.5), start=6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32, torch.float64])
def test_a_constant_speckle_of_any_type(dtype):
    frames = (255 * FRAMES).to(dtype)
    frames[3] = torch.ones(8, 8, dtype=dtype)
    with pytest.raises(ValueError, match=r"train pair 3: constant, every pixel is 1\..*check_data.py.*skip=bad.txt"):
        look(frames)


def test_an_empty_object_is_an_object():
    look(target=changed(2, 0))


def test_negative_values_where_the_preparation_makes_nan_of_them():
    with pytest.raises(ValueError, match=r"train pair 5: 1.56% .* negative, the lowest is -1\..*background=0"):
        look(changed((5, 0, 0), -1.0))


def test_a_frame_that_the_background_hides():
    hiding = Amplitude(correction=Correction(background=0.2))
    look(preparation=hiding)
    with pytest.raises(ValueError, match=r"train pair 2 is dark everywhere once .*background is subtracted.*a lower"):
        look(changed(2, 0.1 + 0.01 * FRAMES[2]), preparation=hiding)


def test_negative_values_where_it_does_not():
    look(changed((5, 0, 0), -1.0), preparation=Amplitude(correction=Correction(background=0)))
    look(changed((5, 0, 0), -1.0), preparation=Amplitude(transform="none"))


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.5])
def test_an_object_outside_of_0_to_1(value):
    with pytest.raises(ValueError, match=r"target of train pair 1 holds NaN or values outside \[0, 1\]"):
        look(target=changed((1, 0, 0), value))


@pytest.mark.parametrize("split", ["train", "val_seen"])
def test_the_leak_check_shows_every_pair_of_every_split(split):
    splits = {
        name: Pairs(name, torch.rand(5, 8, 8), torch.rand(5, 8, 8), torch.zeros(5, dtype=torch.long))
        for name in ("train", "val_seen")
    }
    splits[split].speckle[4] = 1.0
    with pytest.raises(ValueError, match=f"speckle of {split} pair 4: constant,"):
        check_leaks(splits, look=partial(refuse_unusable, preparation=Amplitude()))
