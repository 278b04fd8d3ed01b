from dataclasses import replace

import pytest
import torch
from simulated_sources import GRIT, INCOHERENT, SOURCE, simulated

from spt.errors import InvalidValue
from spt.evaluation.protocols import PROTOCOLS
from spt.evaluation.protocols.plan import Subject
from spt.optics import RandomMatrixSetup


def plan(name, source, **settings):
    (one,) = PROTOCOLS[name](Subject(source, {}, images=4, **settings))
    return one


def test_at_the_trained_distance_the_pairs_are_those_of_the_run():
    curve = plan("unseen_distance", SOURCE, values=[2e-3, 1.5e-3])
    assert (curve.axis, curve.trained) == ("camera distance [mm]", (2.0, 2.0))
    assert [(point.label, point.value) for point in curve.points] == [("2 mm", 2.0), ("1.5 mm", 1.5)]
    own, near = (point.pairs for point in curve.points)
    expected = plan("unseen_diffuser", SOURCE).points[0].pairs
    for kind in ("seen", "unseen"):
        assert torch.equal(own[kind].speckle, expected[kind].speckle)
        assert not torch.equal(near[kind].speckle, expected[kind].speckle)
        assert torch.equal(near[kind].diffuser, expected[kind].diffuser)


def test_a_range_of_distances_is_left_on_both_sides():
    curve = plan("unseen_distance", simulated(GRIT))
    assert curve.trained == (6.0, 12.0)
    assert [point.value for point in curve.points] == pytest.approx([3 + 12 * k / 7 for k in range(8)], rel=1e-5)


def test_what_cannot_be_sampled_is_said_and_left_out():
    curve = plan("unseen_grit", SOURCE, values=[2.92, 50.0])
    assert [point.value for point in curve.points] == [2.92]
    assert curve.notes[0].startswith("50 rad is left out: the optics cannot be sampled. rule 1")
    with pytest.raises(InvalidValue, match=r"protocol=unseen_grit: no value can be simulated. 50 rad is left out"):
        plan("unseen_grit", SOURCE, values=[50.0])


def test_a_rougher_diffuser_is_the_same_one_scaled():
    """The screen of twice the RMS phase is twice the screen."""
    rough = replace(SOURCE, setup=replace(SOURCE.setup, diffuser=replace(SOURCE.setup.diffuser, sigma_phi=1.46)))
    cpu = torch.device("cpu")
    first, second = (source.media([0, 1], cpu)["screens"] for source in (SOURCE, rough))
    assert torch.allclose(first, 2 * second, atol=1e-5)


def test_grits_where_the_optics_have_one():
    curve = plan("unseen_grit", simulated(GRIT))
    assert [point.label for point in curve.points] == ["120", "220", "600", "1500"]
    assert curve.trained == (120, 120)


def test_more_light_gives_less_noise():
    curve = plan("noise", SOURCE, values=[10.0, 200.0, 1e5])
    dim, own, bright = (point.pairs["seen"].speckle.double() for point in curve.points)
    assert (dim - bright).square().mean() > 5 * (own - bright).square().mean()
    assert [point.value for point in plan("noise", SOURCE).points] == [12.5, 25, 50, 100, 200, 400, 800, 1600]


def test_incoherent_optics_change_their_point_spread_function():
    near, far = plan("unseen_distance", simulated(INCOHERENT), values=[6.8e-3, 5e-3]).points
    assert not torch.equal(near.pairs["seen"].speckle, far.pairs["seen"].speckle)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unseen_distance", "RandomMatrixSetup, have none"),
        ("unseen_grit", "a diffuser with a roughness, and the optics of these data, RandomMatrixSetup, have none"),
        ("memory_effect", "RandomMatrixSetup has no diffuser that could be moved"),
    ],
)
def test_optics_without_the_quantity_are_refused(name, said):
    with pytest.raises(InvalidValue, match=said):
        plan(name, simulated(RandomMatrixSetup(32, 16)))
