"""Other kinds of object: those that trained the network are left out by name."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_sources import SOURCE

from spt.data.objects import SparseObjects, StoredObjects
from spt.evaluation.protocols.plan import Subject
from spt.evaluation.protocols.unseen_class import unseen_class


@pytest.fixture
def stored(tmp_path) -> StoredObjects:
    """Thirty small pictures."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (30, 12, 12), dtype=np.uint8))
    return StoredObjects(str(tmp_path / "x.npy"), validation_share=0.4, white=255)


def test_stored_objects_that_trained_are_left_out(stored: StoredObjects):
    own = replace(SOURCE, objects=stored)
    objects = {"same files": replace(stored, validation_share=0.5), "sparse": SparseObjects()}
    (plan,) = unseen_class(Subject(own, {}, images=4, objects=objects))
    assert [point.label for point in plan.points] == ["as in the training", "sparse"]
    assert any(note.startswith("same files is left out: ") and "trained the network" in note for note in plan.notes)


def test_stored_objects_that_did_not_train_are_shown(stored: StoredObjects):
    own = replace(SOURCE, objects=SparseObjects())
    (plan,) = unseen_class(Subject(own, {}, images=4, objects={"files": stored}))
    assert [point.label for point in plan.points] == ["as in the training", "left-out classes", "files"]
