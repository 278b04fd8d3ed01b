"""Images of several files, indexed like a tensor."""

import numpy as np
import pytest
import torch

from spt.data.files import Joined, Selected, open_frames
from spt.errors import InvalidValue

IMAGES = np.arange(7 * 6 * 5).reshape(7, 6, 5).astype(np.uint16) * 300


@pytest.fixture
def joined(tmp_path):
    """Two, one and four images."""
    for name, part in {"a": IMAGES[:2], "b": IMAGES[2:3], "c": IMAGES[3:]}.items():
        np.save(tmp_path / f"{name}.npy", part)
    from spt.data.files import FileSettings

    return Joined([open_frames(tmp_path / f"{name}.npy", None, FileSettings(axes="nhw")) for name in "abc"])


@pytest.mark.parametrize("rows", [slice(None), slice(1, 6, 2), slice(-3, None), [6, 0, 3, 3, 2], [-1, 1], []])
def test_indexed_like_an_array(joined, rows):
    assert np.array_equal(joined[rows], IMAGES[rows])
    picked = list(range(7))[rows] if isinstance(rows, slice) else rows
    assert np.array_equal(joined[torch.tensor(picked, dtype=torch.long)], IMAGES[picked])


def test_one_image(joined):
    assert np.array_equal(joined[-2], IMAGES[-2])
    assert joined[4].shape == (6, 5)
    assert (joined.ndim, joined.shape, len(joined), joined.dtype) == (3, (7, 6, 5), 7, torch.uint16)


@pytest.mark.parametrize("row", [7, -8])
def test_an_image_that_is_not_there(joined, row):
    with pytest.raises(IndexError):
        joined[row]
    with pytest.raises(IndexError):
        joined[[row]]


def test_selected(joined):
    some = Selected(joined, [5, 2, 2])
    assert np.array_equal(some[:], IMAGES[[5, 2, 2]])
    assert some.shape == (3, 6, 5)
    assert some.name(1) == joined.name(2)
    assert joined.name(2).endswith("b.npy[0]")


def test_each_file_is_read_once_for_a_batch(joined, monkeypatch):
    reads = []
    kind = type(joined.parts[0])
    real = kind.read
    monkeypatch.setattr(kind, "read", lambda self, rows: reads.append(list(rows)) or real(self, rows))
    joined[[6, 0, 3, 1]]
    assert reads == [[3, 0], [0, 1]]


def test_different_sizes(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES[0])
    np.save(tmp_path / "b.npy", IMAGES[0, :4])
    with pytest.raises(InvalidValue, match=r"b.npy: images of 4x5 px \(torch.uint16\), but .*a.npy has 6x5 px"):
        Joined([open_frames(tmp_path / "a.npy"), open_frames(tmp_path / "b.npy")])
