from dataclasses import replace

import numpy as np
import pytest
import torch
from simulated_sources import SOURCE

from spt.data.objects import StoredObjects
from spt.data.simulated import NEW
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import Subject
from spt.evaluation.protocols.simulated_pairs import (
    both_kinds,
    moved_right,
    object_split,
    simulated_pairs,
    simulated_source,
)


@pytest.mark.parametrize("train_diffusers", [2, None])
def test_pairs_of_a_split_are_those_that_are_stored(tmp_path, train_diffusers):
    source = replace(SOURCE, cache=str(tmp_path), train_diffusers=train_diffusers)
    stored, made = source.load()["test_seen"], simulated_pairs(source, "test_seen", 8, "seen")
    for name in ("speckle", "target", "diffuser"):
        assert torch.equal(getattr(stored, name)[:], getattr(made, name)), name
        assert getattr(stored, name).dtype == getattr(made, name).dtype
    assert made.parameters["object"].tolist() == stored.parameters["object"].tolist()


@pytest.mark.parametrize("train_diffusers", [2, None])
def test_the_same_objects_behind_diffusers_that_no_split_shows(train_diffusers):
    source = replace(SOURCE, train_diffusers=train_diffusers)
    kinds = both_kinds(Subject(source, {}, images=6), source)
    assert torch.equal(kinds["seen"].target, kinds["unseen"].target)
    assert kinds["unseen"].diffuser.tolist() == [NEW + k for k in range(6)]
    assert not torch.equal(kinds["seen"].speckle, kinds["unseen"].speckle)
    again = both_kinds(Subject(source, {}, images=6), source)
    assert torch.equal(again["unseen"].speckle, kinds["unseen"].speckle)


def test_objects_that_chose_the_epoch_are_never_called_those_of_a_test(tmp_path):
    np.save(tmp_path / "objects.npy", np.random.default_rng(0).integers(0, 256, (40, 32, 32), np.uint8))
    objects = StoredObjects(str(tmp_path / "objects.npy"), validation_share=0.5)
    assert object_split(replace(SOURCE, objects=objects, validation=8), 8) == "test_seen"
    assert object_split(replace(SOURCE, objects=objects, validation=8), 11) == "val_seen"
    assert object_split(replace(SOURCE, objects=objects, validation=12), 8) == "val_seen"


def test_data_of_another_kind_have_no_trained_diffusers():
    assert list(both_kinds(Subject(SOURCE, {}, own=False, images=2), SOURCE)) == ["unseen"]


def test_a_recorded_source_is_refused_with_the_reason(tmp_path):
    from spt.data.hdf5 import SavedSpeckles

    with pytest.raises(InvalidValue, match="protocol=noise changes the light, so that it needs data that spt simul"):
        simulated_source(Subject(SavedSpeckles(str(tmp_path / "x.h5")), {}), "noise", "the light")


def test_objects_move_over_the_dark():
    image = torch.arange(6).view(1, 2, 3)
    assert moved_right(image, 1).tolist() == [[[0, 0, 1], [0, 3, 4]]]
    assert torch.equal(moved_right(image, 0), image)
