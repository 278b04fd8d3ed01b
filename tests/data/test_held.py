"""Pairs that are prepared once are bit for bit those that are prepared batch by batch."""

import pytest
import torch
from loader_batches import epochs, equal
from recorded_noise import RecordedNoise

from spt.data.augmentation import PhysicalAugmentation
from spt.data.cache.cached import in_memory
from spt.data.datamodule import SpeckleDataModule
from spt.data.held import HeldPairs, can_be_held
from spt.data.pairs import Pairs, PairsDataset
from spt.data.preparation import Amplitude, Spectra
from spt.data.preparation.correction import Correction
from spt.data.preparation.geometry import Geometry
from spt.errors import InvalidValue

CPU = torch.device("cpu")


def module(preparation, workers=0, **settings):
    data = SpeckleDataModule(RecordedNoise({"train": 74, "val_seen": 8}, 28), preparation, 4, workers, **settings)
    data.setup()
    return data


def pairs(speckle, target):
    return Pairs("train", speckle, target, torch.arange(len(speckle)))


@pytest.mark.parametrize(
    "preparation",
    [
        Amplitude,
        lambda: Amplitude("log", "set", (-2, 2), Correction("mean", 3.0), Geometry([20, 20], 2, 15)),
        lambda: Amplitude("sqrt", "maximum", geometry=Geometry(size=40)),
        Spectra,
    ],
)
def test_workers_that_prepare_batch_by_batch_give_the_same_bits(preparation):
    """74 pairs are not a whole number of the pieces in which they are prepared."""
    held = module(preparation())
    assert isinstance(held.train_dataloader().dataset, HeldPairs)
    expected = list(epochs(held.train_dataloader(), (0, 1)))
    for workers in (1, 2):
        data = module(preparation(), workers)
        assert isinstance(data.train_dataloader().dataset.dataset, PairsDataset)  # handed over by a worker
        assert equal(epochs(data.train_dataloader(), (0, 1)), expected)
        assert equal(data.val_dataloader()[0], held.val_dataloader()[0])


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.float32])
def test_every_type_of_pixel_and_any_batch(kind):
    values = torch.randint(0, 200, (70, 6, 8)).to(kind)
    dataset = PairsDataset(pairs(values, values[:, :3].to(torch.uint8)), Amplitude())
    held = HeldPairs(dataset, CPU)
    for numbers in ([3], [69, 70, 0, 145], list(range(70, 140))):
        assert equal([held.__getitems__(numbers)], [dataset.__getitems__(numbers)])


@pytest.mark.gpu
def test_the_bits_on_a_gpu_are_those_of_the_processor():
    dataset = PairsDataset(pairs(torch.rand(40, 6, 8), torch.rand(40, 6, 8)), Amplitude())
    batch = HeldPairs(dataset, torch.device("cuda")).__getitems__([39, 0, 41])
    assert {values.device.type for values in batch.values()} == {"cuda"}
    assert equal([{name: values.cpu() for name, values in batch.items()}], [dataset.__getitems__([39, 0, 41])])


def test_a_batch_that_is_changed_changes_no_later_one():
    held = HeldPairs(PairsDataset(pairs(torch.rand(4, 6, 8), torch.rand(4, 6, 8)), Amplitude()), CPU)
    first = held.__getitems__([0, 1])["speckle"]
    kept = first.clone()
    first.zero_()
    assert torch.equal(held.__getitems__([0, 1])["speckle"], kept)


def test_a_bad_pair_is_named_with_the_first_batch_wherever_it_is():
    speckle = torch.rand(40, 6, 8)
    speckle[37, 0, 0] = float("nan")
    held = HeldPairs(PairsDataset(pairs(speckle, torch.rand(40, 6, 8)), Amplitude()), CPU)
    with pytest.raises(InvalidValue, match="the speckle of train pair 37 holds NaN"):
        held.__getitems__([0])


def test_pairs_are_held_up_to_a_quarter_of_the_free_memory(monkeypatch):
    """10 pairs of 2 x 6 x 8 and 3 x 4 values in float32 are 4,320 bytes; the pairs of both splits count."""
    some = pairs(torch.rand(10, 6, 8), torch.rand(10, 3, 4))
    for free, processes, fits in [(34_560, 1, True), (34_559, 1, False), (69_120, 2, True), (69_119, 2, False)]:
        monkeypatch.setattr("spt.data.held.free_memory", lambda free=free: free)
        assert can_be_held([some, some], (2, 6, 8), CPU, processes) == fits


def test_images_in_files_are_held_only_where_they_are_cached_in_memory():
    frames = pairs(torch.rand(4, 6, 8), torch.rand(4, 6, 8)).part(range(4))
    assert not can_be_held([frames], (1, 6, 8), CPU, 1)
    cached = pairs(in_memory(frames.speckle), frames.target)
    assert not can_be_held([cached], (1, 6, 8), CPU, 1)
    assert can_be_held([pairs(cached.speckle, in_memory(frames.target))], (1, 6, 8), CPU, 1)


def test_augmented_pairs_are_not_held():
    data = module(Amplitude(), augmentation=PhysicalAugmentation(jitter=0.1))
    assert not isinstance(data.train_dataloader().dataset, HeldPairs)
    assert isinstance(data.val_dataloader()[0].dataset, HeldPairs)
