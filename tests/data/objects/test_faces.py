"""Procedural faces: dense, seeded, varied; the held-out feature stays out."""

import numpy as np
import pytest

from spt.data.objects import FaceObjects, draw_face

SIZES = [32, 64, 99]


@pytest.mark.parametrize("size", SIZES)
def test_faces_are_dense_grey_images(size):
    """Half of the pixels and more are neither black nor white, and no face is a uniform grey."""
    for seed in range(12):
        image = draw_face(size, np.random.default_rng(seed))
        assert image.shape == (size, size)
        assert image.dtype == np.uint8
        assert ((image > 0) & (image < 255)).mean() > 0.5
        assert image.std() > 12
        assert len(np.unique(image)) > 50


def test_a_face_does_not_depend_on_the_resolution():
    """The same draw at 64 and 128 px, the latter averaged 2x2, differs by edges alone."""
    for seed in range(6):
        fine, coarse = (draw_face(size, np.random.default_rng(seed)).astype(float) for size in (128, 64))
        averaged = fine.reshape(64, 2, 64, 2).mean((1, 3))
        assert np.corrcoef(averaged.ravel(), coarse.ravel())[0, 1] > 0.98


def test_faces_vary_in_pose_light_and_features():
    """The mean face is not a good guess of any: it explains less than two thirds of the variance of a typical one."""
    images = FaceObjects().draw("train", range(60), 32, 0).reshape(60, -1).astype(float)
    mean = images.mean(0)
    similar = [np.corrcoef(mean, image)[0, 1] for image in images]
    assert len({image.tobytes() for image in images}) == 60
    assert np.median(similar) ** 2 < 0.67


def test_the_lamp_shades_the_face():
    """Over many faces the left-right balance of light swings both ways."""
    images = FaceObjects().draw("train", range(40), 32, 0).astype(float)
    middle = images[:, 10:22]
    balance = middle[..., 8:16].mean((1, 2)) - middle[..., 16:24].mean((1, 2))
    assert balance.min() < -20
    assert balance.max() > 20


@pytest.mark.parametrize("feature", ["glasses", "beard"])
def test_a_feature_changes_its_own_region_alone(feature):
    """Glasses darken the upper half of the face, a beard the lower one; everything else is the same face."""
    for seed in range(8):
        without, worn = (draw_face(64, np.random.default_rng(seed), **{feature: on}) for on in (False, True))
        changed = np.abs(without.astype(int) - worn) > 8
        rows = np.flatnonzero(changed.any(1))
        assert 0.002 < changed.mean() < 0.3
        if feature == "glasses":
            assert worn[changed].mean() < without[changed].mean()
        assert (rows.mean() < 36) == (feature == "glasses")


@pytest.mark.parametrize("feature", ["glasses", "beard"])
def test_the_held_out_feature_is_in_val_class_alone(feature, monkeypatch):
    worn = []
    monkeypatch.setattr(
        "spt.data.objects.faces.draw_face",
        lambda size, rng, **wears: worn.append(wears) or np.zeros((size, size), np.uint8),
    )
    objects = FaceObjects(held_out=feature)
    for split in ("train", "val_seen", "val_unseen"):
        objects.draw(split, range(40), 8, 0)
    assert not any(wears[feature] for wears in worn)
    other = [wears[name] for wears in worn for name in wears if name != feature]
    assert 0.2 < np.mean(other) < 0.47
    worn.clear()
    objects.draw("val_class", range(10), 8, 0)
    assert all(wears[feature] for wears in worn)


def test_an_unknown_feature():
    with pytest.raises(ValueError, match=r"held_out must be one of \('glasses', 'beard'\), got 'hat'"):
        FaceObjects(held_out="hat")
