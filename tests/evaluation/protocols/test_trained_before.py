"""Which other simulated sets show diffusers or objects that trained the network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from simulated_sources import GRIT, INCOHERENT, SOURCE, THIN, simulated

from spt.data.media_files import MeasuredPsf
from spt.data.objects import FaceObjects, SparseObjects, StoredObjects
from spt.errors import InvalidValue
from spt.evaluation.protocols.trained_before import has_trained_diffusers
from spt.optics import Camera, IncoherentSetup, RandomMatrixSetup

FRESH = replace(SOURCE, train_diffusers=None)
CLEAR = simulated(INCOHERENT)
MATRIX = simulated(RandomMatrixSetup(8, 4))


def psf(**values: Any) -> IncoherentSetup:
    return replace(INCOHERENT, psf=replace(INCOHERENT.psf, **values))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("own", "change", "trained"),
    [
        (SOURCE, {"camera": Camera(photoelectrons=20)}, True),
        (SOURCE, {"objects": FaceObjects()}, True),
        (SOURCE, {"setup": replace(THIN, camera_distance=1.9e-3)}, True),
        (SOURCE, {"setup": replace(THIN, diffuser=replace(THIN.diffuser, sigma_phi=2.0))}, True),
        (SOURCE, {"train": 20, "validation": 4}, True),
        (SOURCE, {"unseen_diffusers": 5}, True),
        (SOURCE, {"seed": 1}, False),
        (SOURCE, {"setup": replace(THIN, grid=76)}, False),
        (SOURCE, {"setup": GRIT}, False),
        (FRESH, {"train": 20}, True),
        (FRESH, {"seed": 1}, False),
        (CLEAR, {"setup": psf(size=31)}, True),
        (CLEAR, {"setup": psf(grid=260)}, False),
        (MATRIX, {"setup": RandomMatrixSetup(8, 4, "amplitude")}, True),
        (MATRIX, {"setup": RandomMatrixSetup(8, 5)}, False),
    ],
)
def test_a_diffuser_is_that_of_the_training_where_its_random_numbers_are(own, change, trained):
    other = replace(own, **change)
    assert has_trained_diffusers(own, other, 8) == trained


@pytest.mark.parametrize(
    "change", [{}, {"setup": replace(THIN, grid=76)}, {"seed": 1}, {"setup": replace(THIN, camera_distance=1.9e-3)}]
)
def test_the_answer_is_that_of_the_screens_themselves(change):
    """Screens of one diffuser correlate, those of another do not."""
    other = replace(SOURCE, **change)
    screens = [source.media([0], torch.device("cpu"))["screens"][0, 0, :72, :72] for source in (SOURCE, other)]
    alike = torch.corrcoef(torch.stack([screen.flatten() for screen in screens]))[0, 1].abs().item()
    assert (alike > 0.9) == has_trained_diffusers(SOURCE, other, 8)
    assert alike > 0.9 or alike < 0.4


@pytest.mark.parametrize(
    ("own", "change", "named"),
    [
        (SOURCE, {"train_diffusers": 1}, "val_unseen of"),
        (SOURCE, {"train_diffusers": 4}, "val_seen, val_class, test_seen of"),
        (SOURCE, {"train_diffusers": None}, "val_seen, val_class, val_unseen, test_seen of"),
        (FRESH, {"unseen_diffusers": 5}, "val_unseen of|val_seen, val_class"),
        (FRESH, {"train": 40}, "val_seen, val_class, test_seen of"),
    ],
)
def test_sets_that_mix_trained_and_new_diffusers_are_refused(own, change, named):
    with pytest.raises(InvalidValue, match=rf"({named}).* would mix .*train_diffusers=.*another data\.source\.seed"):
        has_trained_diffusers(own, replace(own, **change), 30)


def test_measured_media_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(MeasuredPsf, "tiles", torch.ones(9, 31, 31) / 961)
    own = simulated(IncoherentSetup(32, MeasuredPsf(str(tmp_path), size=31)))
    assert has_trained_diffusers(own, replace(own, camera=Camera(photoelectrons=20)), 8)
    assert not has_trained_diffusers(SOURCE, own, 8)
    smaller = IncoherentSetup(32, MeasuredPsf(str(tmp_path), size=15))
    for change in ({"seed": 1}, {"setup": smaller}):
        with pytest.raises(InvalidValue, match="the media of these data were measured"):
            has_trained_diffusers(own, replace(own, **change), 8)


def test_classes_that_trained_are_not_called_left_out():
    with pytest.raises(InvalidValue, match=r"held_out='B': val_class would show classes that trained"):
        has_trained_diffusers(SOURCE, replace(SOURCE, seed=1, objects=SparseObjects(held_out="B")), 8)


def test_stored_objects_that_trained_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.random.default_rng(0).integers(0, 256, (40, 32, 32), np.uint8))
    own = replace(SOURCE, objects=StoredObjects(str(tmp_path / "objects.npy"), validation_share=0.5))
    assert has_trained_diffusers(own, replace(own, objects=replace(own.objects, threshold=0.5)), 8)
    with pytest.raises(InvalidValue, match=r"objects of val_seen trained the network\. Leave .*validation_share"):
        has_trained_diffusers(own, replace(own, objects=replace(own.objects, validation_share=0.8)), 8)
