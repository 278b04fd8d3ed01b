"""Objects in the wrong order are found, and objects that nothing can be learnt from."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import composed
from hydra.utils import instantiate

from spt.data.alignment import alignment, unpredictable
from spt.data.pairs import Pairs


def scattered(count=80, size=32, diffusers=1):
    """Blobs behind screens that mix all their pixels, each with many grains."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 1, 4, 4, generator=generator)
    target = F.interpolate(coarse, (size, size), mode="bilinear")[:, 0]
    screens = torch.randn(diffusers, size * size, size * size, dtype=torch.complex64, generator=generator)
    diffuser = torch.arange(count) % diffusers
    field = torch.stack([screens[d] @ t for d, t in zip(diffuser, target.flatten(1).to(torch.complex64), strict=True)])
    return Pairs("train", field.abs().square().unflatten(1, (size, size)), target, diffuser)


@pytest.fixture(scope="module")
def right():
    return scattered()


def moved(pairs, shift):
    return replace(pairs, target=pairs.target.roll(shift, 0))


def test_the_right_order(right):
    found = alignment(right)
    assert (found.verdict, found.best, found.pairs, found.diffuser) == ("right", 0, 80, 0)
    assert found.shifts[0] > 0.5
    assert max(abs(r) for shift, r in found.shifts.items() if shift) < 0.1
    assert list(found.shifts) == [-3, -2, -1, 0, 1, 2, 3]
    assert str(found).startswith("Speckles and objects are in the same order: like objects have like speckles, r = 0.")


@pytest.mark.parametrize("shift", [-3, -1, 2])
def test_a_shift_is_found_with_its_sign(right, shift):
    found = alignment(moved(right, shift))
    assert (found.verdict, found.best) == ("shifted", shift)
    assert abs(found.shifts[0]) < 0.1
    assert found.shifts[shift] == pytest.approx(alignment(right).shifts[0], abs=0.05)
    assert f"when speckle k is put to object k{shift:+d}" in str(found)


def test_an_order_that_fits_nowhere(right):
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1))
    found = alignment(replace(right, target=right.target[order]))
    assert found.verdict == "unclear"
    assert str(found).startswith("Nothing shows that speckle k belongs to object k")
    assert alignment(moved(right, 9)).verdict == "unclear"
    assert alignment(moved(right, 9), furthest=10).best == 9


def test_exposures_of_one_object_in_a_row_are_no_shift(right):
    rows = torch.arange(80) // 4
    repeated = replace(right, speckle=right.speckle[rows], target=right.target[rows])
    assert alignment(repeated).verdict == "right"
    assert alignment(moved(repeated, 2)).best == 2


def test_only_pairs_behind_one_diffuser_are_compared():
    pairs = scattered(80, diffusers=2)
    found = alignment(pairs)
    assert (found.verdict, found.pairs) == ("right", 40)
    mixed = replace(pairs, diffuser=torch.zeros(80))
    assert alignment(mixed).shifts[0] < found.shifts[0]


def test_speckles_and_objects_of_other_sizes(right):
    small = F.interpolate(right.target[:, None], (20, 12), mode="area")[:, 0]
    assert alignment(replace(right, target=small)).verdict == "right"


def test_more_pairs_than_asked_for(right):
    assert alignment(right, most=50).pairs == 50


def test_where_nothing_can_be_told(right):
    assert alignment(scattered(22)) is None
    assert alignment(replace(right, diffuser=torch.arange(80))) is None
    assert alignment(replace(right, target=right.target[:1].expand(80, -1, -1))) is None


def test_objects_that_differ_can_be_predicted(right):
    assert unpredictable(right) is None
    brightness = torch.linspace(0, 1, 80)[:, None, None].expand(80, 8, 8)
    assert unpredictable(replace(right, target=brightness)) is None


@pytest.mark.parametrize("value", [0, 7])
def test_objects_that_are_all_equal(right, value):
    equal = torch.full((80, 8, 8), value, dtype=torch.uint8)
    assert unpredictable(replace(right, target=equal)) == (
        "split 'train': all objects are equal, nothing can be learnt. Check the files of the objects."
    )


def test_objects_that_are_nearly_equal(right):
    noise = 0.001 * torch.randn(80, 32, 32)
    nearly = (right.target[:1] + noise).clamp(0, 1)
    assert "objects differ from their mean image by only" in unpredictable(replace(right, target=nearly))
    assert unpredictable(replace(right, target=right.target[:1] + 100 * noise)) is None


def test_the_measured_set(real_data):
    root = f"data.source.root={real_data / 'real_220grit'}"
    source = instantiate(composed("data=real_220grit", root, "data.source.size=128").data.source, _convert_="all")
    train = source.load()["train"]
    found = alignment(train)
    assert found.shifts[0] == pytest.approx(0.95, abs=0.03)
    assert max(abs(r) for shift, r in found.shifts.items() if shift) < 0.05
    assert alignment(moved(train, 1)).best == 1
    assert alignment(moved(train, 7)).verdict == "unclear"
    assert unpredictable(train) is None
