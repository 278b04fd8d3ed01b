"""Grey scenes made of binary objects, and objects in black and white."""

import numpy as np
import pytest

from spt.data.objects import BlackAndWhite, FaceObjects, OverlaidObjects, SparseObjects
from spt.errors import InvalidValue

SPARSE = SparseObjects()


def test_a_number_decides_the_scene_whatever_is_drawn_with_it():
    scenes = OverlaidObjects(SPARSE)
    together = scenes.draw("train", [5, 2], 28, 0)
    assert np.array_equal(together[1], scenes.draw("train", [2], 28, 0)[0])
    assert not np.array_equal(together[1], scenes.draw("train", [2], 28, 1)[0])
    assert not np.array_equal(together[1], scenes.draw("val_seen", [2], 28, 0)[0])


def test_scenes_have_many_grey_levels_and_the_plain_ones_are_objects():
    grey = OverlaidObjects(SPARSE, plain=0.0).draw("train", range(20), 28, 0)
    assert all(len(np.unique(scene)) > 20 for scene in grey)
    assert grey.std() > 30
    plain = OverlaidObjects(SPARSE, layers=3, plain=1.0).draw("train", range(4), 28, 0)
    assert np.array_equal(plain, SPARSE.draw("train", [0, 3, 6, 9], 28, 0))


def test_without_shade_every_layer_is_one_grey():
    """One object over a ground: two greys, and those of the edge between them."""
    scenes = OverlaidObjects(SPARSE, layers=1, plain=0.0, shade=0.0).draw("train", range(8), 64, 0)
    for scene in scenes:
        values, counts = np.unique(scene, return_counts=True)
        assert counts[np.argsort(counts)[-2:]].sum() > 0.8 * scene.size, values


def test_scenes_of_two_splits_never_share_an_object():
    scenes = OverlaidObjects(SPARSE)
    train, seen = (set(scenes.identify(split, range(50), 0)) for split in ("train", "val_seen"))
    assert len(train) == len(seen) == 50
    assert not train & seen


def test_a_split_without_objects_has_no_scenes():
    class Nothing(SparseObjects):
        def count(self, split):
            return 0 if split == "val_class" else None

    scenes = OverlaidObjects(Nothing())
    assert scenes.count("val_class") == 0
    assert scenes.count("train") is None


def test_there_are_so_many_scenes_that_no_two_share_an_object():
    class Twenty(SparseObjects):
        def count(self, split):
            return 20

    assert OverlaidObjects(Twenty(), layers=8).count("test_seen") == 2


@pytest.mark.parametrize("setting", [{"layers": 0}, {"plain": 1.5}, {"shade": -0.1}])
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(InvalidValue, match=rf"objects\.{name} must"):
        OverlaidObjects(SPARSE, **setting)


def test_black_and_white_is_the_threshold_and_nothing_else():
    faces = FaceObjects()
    grey, made = faces.draw("train", range(4), 28, 0), BlackAndWhite(faces).draw("train", range(4), 28, 0)
    assert np.array_equal(made == 255, grey > 127.5)
    assert set(np.unique(made)) == {0, 255}
    assert BlackAndWhite(faces).describe() != BlackAndWhite(faces, 0.6).describe()
