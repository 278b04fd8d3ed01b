import pytest
import torch

from spt.data.hdf5 import SavedSpeckles
from spt.data.pairs import Pairs
from spt.errors import InvalidValue
from spt.evaluation.protocols import PROTOCOLS
from spt.evaluation.protocols.plan import Subject

RECORDED = SavedSpeckles("lab.h5")


def pairs(name, n=6, **parameters):
    frames = torch.arange(n * 16, dtype=torch.uint8).view(n, 4, 4)
    return Pairs(name, frames, frames, torch.zeros(n, dtype=torch.int64), parameters)


def subject(*names, own=True, values=None, **parameters):
    return Subject(RECORDED, {name: pairs(name, **parameters) for name in names}, own, values=values)


def test_every_split_is_a_point_of_its_kind():
    (plan,) = PROTOCOLS["splits"](subject("val_seen", "val_class", "val_unseen", "test_unseen"))
    kinds = {point.label: list(point.pairs) for point in plan.points}
    assert kinds == {
        "val_seen": ["seen"],
        "val_class": ["seen"],
        "val_unseen": ["unseen"],
        "test_unseen": ["unseen"],
    }
    assert (plan.kinds, plan.notes) == (["seen", "unseen"], [])


def test_other_data_are_said_to_be_new_to_the_network():
    other = subject("val_seen", "val_unseen", own=False)
    (plan,) = PROTOCOLS["splits"](other)
    assert plan.notes == ["The network was not trained on these data."]
    assert plan.kinds == ["unseen"]
    (plan,) = PROTOCOLS["unseen_diffuser"](other)
    assert [point.label for point in plan.points] == ["val_seen", "val_unseen"]
    with pytest.raises(InvalidValue, match="all diffusers of these data are new to the network"):
        PROTOCOLS["seen"](other)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("seen", ["val_seen", "test_seen"]),
        ("unseen_diffuser", ["val_unseen", "test_unseen"]),
        ("unseen_class", ["val_class"]),
    ],
)
def test_recorded_pairs_are_taken_from_the_splits_that_fit(name, kept):
    names = ["val_seen", "val_class", "val_unseen", "test_seen", "test_unseen"]
    (plan,) = PROTOCOLS[name](subject(*names))
    assert [point.label for point in plan.points] == kept
    assert plan.name == name


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("seen", ["val_unseen"], "needs a split with trained diffusers"),
        ("unseen_diffuser", ["val_seen"], "no recorded pair is behind an unseen diffuser"),
        ("unseen_class", ["val_seen"], "no recorded pair shows a class that did not train"),
        ("unseen_distance", ["val_seen"], "were recorded and have no distance"),
        ("unseen_grit", ["val_seen"], "changes the diffuser, so that it needs data that spt simulates"),
        ("noise", ["val_seen"], "changes the number of photoelectrons, so that it needs"),
        ("memory_effect", ["val_seen"], "changes the place of object and diffuser, so that it needs"),
    ],
)
def test_recorded_pairs_that_do_not_fit_are_refused_with_the_reason(name, there, said):
    with pytest.raises(InvalidValue, match=said):
        PROTOCOLS[name](subject(*there))


def test_recorded_distances_are_points():
    distance = torch.tensor([0.01, 0.02, 0.01, 0.02, 0.02, 0.02], dtype=torch.float64)
    data = subject("val_seen", "val_unseen", distance=distance)
    (plan,) = PROTOCOLS["unseen_distance"](data)
    assert [(point.label, point.value) for point in plan.points] == [
        ("val_seen, 10 mm", 10.0),
        ("val_seen, 20 mm", 20.0),
        ("val_unseen, 10 mm", 10.0),
        ("val_unseen, 20 mm", 20.0),
    ]
    near = plan.points[0].pairs["seen"]
    assert torch.equal(near.speckle, data.splits["val_seen"].speckle[[0, 2]])
    with pytest.raises(InvalidValue, match="Recorded pairs have the distances"):
        PROTOCOLS["unseen_distance"](subject("val_seen", values=[1.0], distance=distance))
