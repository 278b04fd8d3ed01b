import math

import pytest
import torch

from spt.data.pairs import Pairs
from spt.evaluation.standard_error import calibration_standard_error, clusters, counts, standard_error
from spt.metrics import calibration_error, reliability


def pairs(diffuser, **parameters):
    n, zeros = len(diffuser), torch.zeros(len(diffuser), 2, 2)
    return Pairs(
        "val", zeros, zeros, torch.tensor(diffuser), {k: torch.tensor(v) for k, v in parameters.items()} if n else {}
    )


def means_error(values):
    """Standard error of independent values."""
    return values.std().item() / math.sqrt(len(values))


# How the images depend on each other ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("diffuser", "objects", "expected"),
    [
        ([7, 7, 9, 9], None, [[0, 0, 1, 1]]),
        ([7, 7, 9, 9], [1, 2, 3, 4], [[0, 0, 1, 1]]),
        ([7, 7, 9, 9], [5, 6, 5, 6], [[0, 0, 1, 1], [0, 1, 0, 1]]),
        ([7, 7, 7, 7], [5, 6, 5, 6], [[0, 1, 0, 1]]),
        ([1, 2, 3, 4], [5, 6, 5, 6], [[0, 1, 0, 1]]),
        ([7, 7, 7, 7], [1, 2, 3, 4], [[0, 1, 2, 3]]),
        ([1, 2, 3, 4], None, [[0, 1, 2, 3]]),
        ([3], None, [[0]]),
    ],
    ids=["diffuser", "distinct objects", "both", "one diffuser", "fresh diffusers", "neither", "fresh", "one image"],
)
def test_images_that_share_a_diffuser_or_an_object_are_a_cluster(diffuser, objects, expected):
    split = pairs(diffuser, **({} if objects is None else {"object": objects}))
    assert [labels.tolist() for labels in clusters(split)] == expected


def test_images_diffusers_and_objects_are_counted():
    assert counts(pairs([7, 7, 9, 9])) == {"n": 4, "diffusers": 2}
    assert counts(pairs([7, 7, 9, 9, 9], object=[1, 2, 1, 2, 3])) == {"n": 5, "diffusers": 2, "objects": 3}


# Means ---------------------------------------------------------------------------------------------------------------


def test_images_of_their_own_have_the_usual_standard_error():
    values = torch.rand(9).double()
    assert standard_error(values, [torch.arange(9)]) == pytest.approx(means_error(values), rel=1e-12)


def test_identical_images_of_a_cluster_count_once():
    """Eight diffusers of 32 equal images each: the error is that of eight values, and not 1 / sqrt(32) of it."""
    values = torch.rand(8).double()
    shuffled = torch.randperm(256)
    labels = torch.arange(8).repeat_interleave(32)[shuffled]
    assert standard_error(values[labels], [labels]) == pytest.approx(means_error(values), rel=1e-12)


def test_clusters_of_unequal_size_by_hand():
    # Values 0, 0, 3 in clusters {0, 1} and {2}: mean 1, residual sums -2 and 2, V = 2 / 1 * (4 + 4) / 9 = 16 / 9.
    assert standard_error(torch.tensor([0.0, 0.0, 3.0]), [torch.tensor([0, 0, 1])]) == pytest.approx(4 / 3, rel=1e-12)


def test_two_ways_by_hand():
    # Diffusers (0 0 1 1), objects (0 1 0 1), values 0, 2, 4, 10: mean 4, residuals -4, -2, 0, 6.
    # V_diffuser = 2 * (36 + 36) / 16 = 9, V_object = 2 * (16 + 16) / 16 = 4, V_both = 4/3 * (16 + 4 + 36) / 16 = 14/3.
    by = [torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])]
    value = standard_error(torch.tensor([0.0, 2.0, 4.0, 10.0]), by)
    assert value**2 == pytest.approx(max(9 + 4 - 14 / 3, 9), rel=1e-12)


def test_two_ways_of_equal_effects_add_up():
    """Values d + o on a full grid of 4 diffusers and 5 objects, by the definition in NumPy-like sums."""
    d, o = torch.randn(4).double(), torch.randn(5).double()
    by = [torch.arange(4).repeat_interleave(5), torch.arange(5).repeat(4)]
    values = d[by[0]] + o[by[1]]
    both = standard_error(values, [torch.arange(20)]) ** 2
    one, other = (standard_error(values, [labels]) ** 2 for labels in by)
    assert one == pytest.approx(means_error(d) ** 2, rel=1e-12)
    assert other == pytest.approx(means_error(o) ** 2, rel=1e-12)
    assert standard_error(values, by) ** 2 == pytest.approx(one + other - both, rel=1e-12)


def test_two_diffusers_that_agree_by_chance_do_not_make_the_error_0():
    """The same objects through two diffusers: both means are equal, and the objects still differ."""
    values = torch.rand(50).double().repeat(2)
    value = standard_error(values, [torch.arange(2).repeat_interleave(50)])
    assert value == pytest.approx(means_error(values), rel=1e-12)


def test_a_single_image_has_no_error():
    assert standard_error(torch.tensor([0.7]), [torch.tensor([0])]) == 0


# Calibration ---------------------------------------------------------------------------------------------------------


def bins(n):
    pixels = torch.randint(10, 99, (n, 1, 4)).double()
    return torch.cat([pixels, pixels * torch.rand(n, 2, 4)], dim=1)


def test_the_jackknife_leaves_out_one_cluster_at_a_time():
    labels = torch.tensor([0, 1, 2, 1, 2, 0, 0, 2, 1])
    sums = bins(3)[labels]
    left = torch.stack([calibration_error(sums[labels != g].sum(0)) for g in range(3)])
    expected = (2 / 3 * (left - left.mean()).square().sum()).sqrt().item()
    assert calibration_standard_error(sums, [labels]) == pytest.approx(expected, rel=1e-12)


def test_calibration_of_a_single_image_has_no_error():
    assert calibration_standard_error(bins(1), [torch.tensor([0])]) == 0


def test_the_error_over_images_is_the_standard_error_where_the_error_is_a_mean():
    """All pixels in one bin and never lit: the pooled error is the mean of the images, the jackknife its error."""
    level = torch.tensor([0.70, 0.72, 0.75, 0.71], dtype=torch.float64)
    sums = reliability(level.view(4, 1, 1, 1).expand(4, 1, 8, 8), torch.zeros(4, 1, 8, 8), bins=2)
    assert calibration_standard_error(sums, [torch.arange(4)]) == pytest.approx(level.std().item() / 2, abs=1e-12)


def test_the_error_over_images_is_what_other_splits_would_show():
    """The spread of the pooled error over 200 splits of 20 images each, met by the jackknife within a quarter."""
    generator = torch.Generator().manual_seed(0)
    shift = 0.1 * torch.rand(200 * 20, 1, 1, 1, generator=generator)
    pred = 0.85 * torch.rand(200 * 20, 1, 8, 8, generator=generator) + shift
    target = (torch.rand(pred.shape, generator=generator) < 0.5 * pred).float()
    splits = reliability(pred, target).unflatten(0, (200, 20))
    spread = calibration_error(splits.sum(1)).std().item()
    jackknife = sum(calibration_standard_error(sums, [torch.arange(20)]) for sums in splits) / 200
    assert jackknife == pytest.approx(spread, rel=0.25)
