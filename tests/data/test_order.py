"""Loaders over images in files: the same bits and order however they are loaded; errors in the words of the reader."""

import h5py
import numpy as np
import pytest
import torch
from loader_batches import epochs, equal
from PIL import Image
from torch.utils.data import DistributedSampler

from spt.data.datamodule import SpeckleDataModule
from spt.data.files import open_folder
from spt.data.hdf5 import FORMAT, VERSION, SavedSpeckles
from spt.data.order import EpochOrder, LateLoader
from spt.data.pairs import Pairs, PairsDataset
from spt.data.preparation import Amplitude
from spt.data.source import Source
from spt.errors import InvalidValue

COUNTS = {"train": 10, "val_seen": 4}
PLAIN = Amplitude(transform="none", scale="none")


def speckle(split, k):
    """Frame k of a split, unlike any other."""
    return np.random.default_rng([k, len(split)]).integers(0, 255, (8, 8)).astype(np.uint8)


class Pictures(Source):
    """Pictures, one file an image."""

    size = 8

    def __init__(self, folder):
        self.folder = folder
        for split, count in COUNTS.items():
            (folder / split).mkdir()
            for k in range(count):
                Image.fromarray(speckle(split, k)).save(folder / split / f"{k}.png")

    def load(self):
        frames = {split: open_folder(self.folder / split) for split in COUNTS}
        return {name: Pairs(name, f, f, torch.zeros(len(f), dtype=torch.int64)) for name, f in frames.items()}


def saved(folder, bad=None):
    """An HDF5 set of floats; ``bad`` is the split and number of a frame with a negative value."""
    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "complete": True, "splits": list(COUNTS)})
        for split, count in COUNTS.items():
            frames = np.stack([speckle(split, k) for k in range(count)]).astype(np.float32)
            file[f"{split}/target"] = frames.astype(np.uint8)
            if bad and bad[0] == split:
                frames[bad[1], 2, 2] = -1
            file[f"{split}/speckle"] = frames
            file[f"{split}/diffuser"] = np.zeros(count, np.int64)
    return SavedSpeckles(str(folder / "a.h5"))


def module(source, workers=0, cache="none"):
    data = SpeckleDataModule(source, PLAIN, 4, workers, seed=3, cache=cache)
    data.setup()
    return data


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
@pytest.mark.parametrize("kind", [Pictures, saved])
def test_workers_change_neither_bits_nor_order(tmp_path, kind, cache):
    source = kind(tmp_path)
    expected = list(epochs(module(source).train_dataloader(), (0, 1)))
    for batch in expected:
        for row, frame in zip(batch["index"].tolist(), batch["speckle"][:, 0], strict=True):
            assert np.array_equal(frame.numpy(), speckle("train", row))
    for workers in (1, 2):
        data = module(source, workers, cache)
        assert equal(epochs(data.train_dataloader(), (0, 1)), expected)
        assert equal(data.val_dataloader()[0], module(source).val_dataloader()[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_later_epoch_does_not_need_the_earlier_ones(tmp_path, workers):
    source = saved(tmp_path)
    undisturbed = list(epochs(module(source).train_dataloader(), (0, 1, 2)))
    assert equal(epochs(module(source, workers).train_dataloader(), (1, 2)), undisturbed[2:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cache"), [(Pictures, "none"), (Pictures, "disk"), (saved, "none"), (saved, "memory")]
)
def test_spawned_workers_change_neither_bits_nor_order(tmp_path, kind, cache):
    """As on macOS and Windows: everything that a worker needs is pickled."""
    source = kind(tmp_path)
    pairs = module(source, cache=cache).splits["train"]
    dataset = PairsDataset(pairs, PLAIN)
    loader = LateLoader(
        dataset,
        sampler=EpochOrder(dataset, 1, 0, seed=3),
        batch_size=4,
        drop_last=True,
        num_workers=2,
        multiprocessing_context="spawn",
    )
    assert equal(epochs(loader, (1,)), epochs(module(source).train_dataloader(), (1,)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split", ["train", "val_seen"])
def test_a_bad_frame_is_named_in_the_words_of_the_reader(tmp_path, workers, split):
    data = module(saved(tmp_path, bad=(split, 1)), workers)
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()[0]
    with pytest.raises(
        InvalidValue, match=rf"^\S*a.h5:{split}/speckle\[1\] \(counted from 0\): the speckle holds NaN, .*0\.$"
    ):
        list(epochs(loader, (0, 1)))


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_with_a_cache_a_bad_frame_is_found_before_training(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InvalidValue, match=r"a.h5:val_seen/speckle\[1\] "):
        module(saved(tmp_path, bad=("val_seen", 1)), cache=cache)


def test_a_picture_that_disappears_is_named(tmp_path):
    source = Pictures(tmp_path)
    data = module(source, workers=1)
    (tmp_path / "val_seen" / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"^\S*val_seen/2.png is not there any more"):
        list(data.val_dataloader()[0])


def test_a_fault_of_the_program_keeps_the_workers_traceback():
    class Broken(PairsDataset):
        def __getitems__(self, numbers):
            raise ZeroDivisionError("division by zero")

    pairs = Pairs("train", torch.rand(4, 4, 4), torch.rand(4, 4, 4), torch.zeros(4))
    dataset = Broken(pairs, PLAIN)
    loader = LateLoader(dataset, sampler=DistributedSampler(dataset, 1, 0), batch_size=2, num_workers=1)
    with pytest.raises(
        ZeroDivisionError, match=r"Caught ZeroDivisionError in DataLoader worker process 0(.|\n)*in __getitems__"
    ):
        list(loader)
