"""Images of files kept in memory or on disk: the same bits, read once, said in words, refused by size."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.cache import cached
from spt.data.cache.cached import InMemory, kept
from spt.data.cache.disk import OnDisk
from spt.data.files import open_folder, open_frames
from spt.data.files.frames import Frames
from spt.data.pairs import Pairs
from spt.errors import InvalidValue

GB = 10**9


class Counted(Frames):
    """Frames (12, 8, 6) that count how often each is read; frame ``bad`` cannot be."""

    dtype, shape = torch.uint16, (12, 8, 6)

    def __init__(self, bad=None):
        self.bad, self.reads = bad, []

    def read(self, rows):
        self.reads += rows
        if self.bad in rows:
            raise InvalidValue(f"{self.name(self.bad)} is truncated.")
        numbers = np.arange(12 * 48, dtype=np.uint16).reshape(12, 8, 6) * 100
        return torch.from_numpy(numbers[list(rows)])

    def name(self, row):
        return f"stack.tif[{row}]"

    def fingerprint(self):
        return "counted"


@pytest.fixture
def splits(tmp_path):
    """Speckles that are counted and objects in pictures of their own, in two splits."""
    (tmp_path / "objects").mkdir()
    for k in range(12):
        Image.fromarray(np.full((4, 4), 20 * k, np.uint8)).save(tmp_path / "objects" / f"{k}.png")
    objects = open_folder(tmp_path / "objects")
    return {name: Pairs(name, Counted(), objects, torch.zeros(12, dtype=torch.int64)) for name in ("train", "val_seen")}


def same(left, right):
    return all(
        torch.equal(left[name].speckle[:], right[name].speckle[:])
        and torch.equal(left[name].target[:], right[name].target[:])
        and left[name].speckle.dtype == right[name].speckle.dtype
        for name in right
    )


@pytest.mark.parametrize("cache", ["auto", "memory", "disk"])
def test_every_image_is_read_once_and_keeps_bits_type_and_name(splits, tmp_path, cache):
    result = kept(splits, cache, tmp_path / "cache")
    assert sorted(splits["train"].speckle.reads) == list(range(12))
    train = result["train"]
    assert isinstance(train.speckle, OnDisk if cache == "disk" else InMemory)
    assert train.speckle[torch.tensor([5, 5, 2])].equal(Counted()[[5, 5, 2]])
    assert train.speckle[3:9:2].equal(Counted()[3:9:2])
    assert train.speckle[-1].equal(Counted()[11])
    assert sorted(splits["train"].speckle.reads) == list(range(12))
    assert same(result, splits)
    assert train.where(3) == "train pair 3 (stack.tif[3])"
    assert train.target.name(3).endswith("objects/3.png")


def test_without_a_cache_images_are_read_whenever_they_are_asked_for(splits, tmp_path):
    result = kept(splits, "none", tmp_path / "cache")
    assert result == splits
    assert splits["train"].speckle.reads == []
    assert not (tmp_path / "cache").exists()


def test_pairs_in_memory_stay_what_they_are(tmp_path):
    pairs = {"train": Pairs("train", torch.rand(3, 4, 4), torch.rand(3, 4, 4), torch.zeros(3))}
    assert kept(pairs, "disk", tmp_path / "cache") == pairs
    assert not (tmp_path / "cache").exists()


def test_the_size_is_said_in_words(splits, tmp_path, caplog):
    with caplog.at_level("INFO"):
        kept(splits, "memory", tmp_path)
    assert "Images cached in memory: 2.7 kB." in caplog.text  # 2 x 12 x (8 x 6 x 2 + 4 x 4) bytes


@pytest.mark.parametrize(("free", "kind"), [(10752, InMemory), (10751, Counted)])
def test_auto_takes_memory_up_to_a_quarter_of_what_is_free(splits, tmp_path, monkeypatch, caplog, free, kind):
    monkeypatch.setattr(cached, "free_memory", lambda: free)
    with caplog.at_level("INFO"):
        assert isinstance(kept(splits, "auto", tmp_path)["train"].speckle, kind)
    assert ("read from their files in every epoch: 2.7 kB, more than a quarter" in caplog.text) == (kind is Counted)


def test_images_that_do_not_fit_into_the_memory_are_refused_with_both_sizes(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(cached, "free_memory", lambda: 3000)
    with pytest.raises(
        InvalidValue, match=r"data.cache=memory needs 2.7 kB .* 80% of the free memory are 2.4 kB\. Use"
    ):
        kept(splits, "memory", tmp_path)
    assert splits["train"].speckle.reads == []


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_bad_image_is_named_and_nothing_is_left_on_the_disk(tmp_path, cache):
    pairs = {"train": Pairs("train", Counted(bad=7), torch.zeros(12, 4, 4), torch.zeros(12))}
    with pytest.raises(InvalidValue, match=r"^stack.tif\[7\] is truncated\.$"):
        kept(pairs, cache, tmp_path / "cache")
    assert not list(tmp_path.glob("cache/images-*"))


def test_images_in_memory_can_be_pickled(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(48, dtype=np.uint8).reshape(3, 4, 4))
    frames = cached.in_memory(open_frames(tmp_path / "a.npy"))
    assert pickle.loads(pickle.dumps(frames))[:].equal(frames[:])
