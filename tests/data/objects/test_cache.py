"""Objects on disk: drawn once, in blocks that grow."""

import numpy as np
import pytest

from spt.data.objects import FaceObjects, SparseObjects
from spt.data.objects.cache import CachedObjects


@pytest.fixture
def drawn(monkeypatch):
    """Numbers of the objects that were drawn, in order."""
    numbers, draw = [], SparseObjects.draw
    monkeypatch.setattr(
        SparseObjects,
        "draw",
        lambda self, split, asked, *rest: numbers.extend(asked) or draw(self, split, asked, *rest),
    )
    return numbers


def cached(folder, objects=None, size=16, seed=0):
    return CachedObjects(objects or SparseObjects(), size, seed, str(folder))


def test_objects_are_drawn_once(tmp_path, drawn):
    objects = SparseObjects().draw("train", range(150), 16, 0)
    drawn.clear()
    assert np.array_equal(cached(tmp_path).load("train", 0, 150), objects)
    assert drawn == list(range(150))
    drawn.clear()
    assert np.array_equal(cached(tmp_path).load("train", 60, 130), objects[60:130])
    assert drawn == []


def test_a_block_grows_by_what_is_missing(tmp_path, drawn):
    objects = SparseObjects().draw("train", range(100), 16, 0)
    cached(tmp_path).load("train", 0, 70)
    drawn.clear()
    assert np.array_equal(cached(tmp_path).load("train", 0, 100), objects)
    assert drawn == list(range(70, 100))


def test_what_decides_the_pixels_names_another_folder(tmp_path, monkeypatch):
    first = cached(tmp_path)
    others = [
        cached(tmp_path, SparseObjects(glyph_share=0.4)),
        cached(tmp_path, FaceObjects()),
        cached(tmp_path, size=17),
        cached(tmp_path, seed=1),
    ]
    monkeypatch.setattr("spt.data.objects.cache.RECIPE", 10**6)
    folders = {c.folder for c in others} | {first.folder}
    monkeypatch.undo()
    assert len(folders | {first.folder}) == 6


def test_an_interrupted_write_leaves_no_block(tmp_path, monkeypatch):
    def savez(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", savez)
    with pytest.raises(OSError, match="No space left on device") as caught:
        cached(tmp_path).load("train", 0, 3)
    assert "train-00000.npz" in caught.value.filename
    assert not list(tmp_path.rglob("*train*"))


def test_a_damaged_block_is_named(tmp_path):
    objects = cached(tmp_path)
    objects.load("train", 0, 3)
    path = objects.folder / "train-00000.npz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=f"{path} cannot be read as .npz.*Restore or delete the file"):
        objects.load("train", 0, 3)
