"""The measured correlation follows the laws of the memory effect."""

import pytest
import torch
from simulated_sources import GRIT, INCOHERENT, SOURCE, simulated

from spt.errors import InvalidValue
from spt.evaluation.protocols.memory_effect import CORRELATION, THEORY, ensemble_correlation, memory_effect
from spt.evaluation.protocols.plan import Subject
from spt.optics import ThickDiffuser, ThickDiffuserSetup, ThinDiffuser, ThinDiffuserSetup

OPTICS = (64, 192, 4e-6, 532e-9, 1e-3, 1e-3)
"""Objects of 13 correlation lengths: the laws are those of many."""

AMPLITUDE = simulated(ThinDiffuserSetup(*OPTICS, ThinDiffuser(1.75, 20e-6), "amplitude"))
THICK = simulated(ThickDiffuserSetup(*OPTICS, ThickDiffuser(1.0, 20e-6, 3, 2e-3), "amplitude"))


def curves(source, **settings):
    return {plan.name: plan for plan in memory_effect(Subject(source, {}, images=4, **settings))}


def off(plan):
    """Largest distance of the measured correlation from its law."""
    return max(abs(point.references[CORRELATION][0] - point.references[THEORY][0]) for point in plan.points)


@pytest.mark.parametrize(("source", "within"), [(AMPLITUDE, 0.1), (THICK, 0.17)], ids=["thin", "thick"])
def test_the_speckle_follows_the_laws(source, within):
    """Over 16 diffusers and 4 objects. The laws fall below .2, or stay at 1: tilted light, thin screen."""
    found = curves(source)
    assert list(found) == ["object_shift", "diffuser_shift", "tilt"]
    for name, plan in found.items():
        assert off(plan) < within, name
        assert plan.points[0].references[CORRELATION] == (pytest.approx(1, abs=1e-5), pytest.approx(0, abs=1e-5))
    assert found["diffuser_shift"].points[-1].references[THEORY][0] < 0.2
    assert (found["tilt"].points[-1].references[THEORY][0] == 1) == (source is AMPLITUDE)


def test_nothing_moved_gives_the_pairs_of_the_run():
    still = [plan.points[0].pairs["seen"].speckle for plan in curves(AMPLITUDE).values()]
    assert torch.equal(still[0], still[1])
    assert (still[0].int() - still[2].int()).abs().max() <= 1


def test_the_truth_moves_with_the_object():
    first, second = curves(AMPLITUDE)["object_shift"].points[:2]
    step = int(second.value)
    assert torch.equal(second.pairs["seen"].target[..., step:], first.pairs["seen"].target[..., :-step])


def test_a_phase_object_has_no_theory_of_its_shift():
    plan = curves(SOURCE)["object_shift"]
    assert all(THEORY not in point.references for point in plan.points)
    assert "No theory is drawn" in plan.notes[0]


def test_incoherent_light_has_an_infinite_memory():
    found = curves(simulated(INCOHERENT))
    assert list(found) == ["object_shift"]
    assert [point.references[THEORY][0] for point in found["object_shift"].points] == [1.0] * 5
    assert "take the memory effect as infinite" in found["object_shift"].notes[0]


def test_a_range_of_distances_has_no_tilt():
    found = curves(simulated(GRIT))
    assert list(found) == ["object_shift", "diffuser_shift"]
    assert "every diffuser has its own camera distance" in found["diffuser_shift"].notes[-1]


def test_three_axes_take_no_values():
    with pytest.raises(InvalidValue, match="has three axes and takes no values="):
        curves(SOURCE, values=[1.0])


def test_what_all_media_share_is_no_correlation_of_the_speckle():
    shared, first, second = 100 * torch.rand(1, 20, 20), torch.randn(8, 20, 20), torch.randn(8, 20, 20)
    assert abs(ensemble_correlation(shared + first, shared + second)) < 0.1
    assert ensemble_correlation(shared + first, shared + 2 * first).item() == pytest.approx(1, abs=1e-4)
