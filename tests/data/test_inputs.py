"""Inputs that are made once for all epochs: the same as those made when they are asked for."""

import pytest
import torch
from recorded_noise import RecordedNoise

from spt.data.datamodule import SpeckleDataModule
from spt.data.preparation import Amplitude, Spectra
from spt.errors import InvalidValue

PAIRS = {"train": 40, "val_seen": 8, "test_unseen": 4}


def source(**settings):
    return RecordedNoise(PAIRS, 28, **settings)


def module(folder, cache="auto", workers=0, **settings):
    data = SpeckleDataModule(source(), Spectra(), 4, workers, cache=cache, **settings)
    data.cache_folder = folder
    data.setup()
    return data


@pytest.mark.parametrize(("cache", "workers"), [("auto", 0), ("memory", 2), ("disk", 0), ("none", 0)])
def test_loaders_give_what_the_preparation_makes_of_the_frames(tmp_path, cache, workers):
    data = module(tmp_path, cache, workers)
    for loader, split in ((data.train_dataloader(), "train"), (data.val_dataloader()[0], "val_seen")):
        for batch in loader:
            expected = data.preparation(data.splits[split].speckle[batch["index"]][:, None])
            torch.testing.assert_close(batch["speckle"], expected, atol=1e-5, rtol=1e-5)
            assert batch["speckle"].shape[1:] == data.input_shape == (10, 32, 32)


def test_frames_are_prepared_once(tmp_path, monkeypatch):
    data = module(tmp_path)
    monkeypatch.setattr(Spectra, "forward", lambda self, speckle: pytest.fail("prepared again"))
    assert len(list(data.train_dataloader())) == 10


def test_splits_that_no_epoch_reads_are_not_prepared(tmp_path):
    assert set(module(tmp_path).inputs) == {"train", "val_seen"}


def test_a_quick_preparation_keeps_nothing(tmp_path):
    data = SpeckleDataModule(source(), Amplitude(), 4)
    data.setup()
    assert data.inputs == {}


def test_inputs_on_disk_are_made_anew_where_other_frames_trained(tmp_path):
    first, again = module(tmp_path, "disk"), module(tmp_path, "disk")
    kept = sorted(tmp_path.iterdir())
    other = SpeckleDataModule(source(), Spectra(floor=0.1), 4, cache="disk")
    other.cache_folder = tmp_path
    other.setup()
    assert torch.equal(first.inputs["train"].speckle[:], again.inputs["train"].speckle[:])
    assert len(sorted(tmp_path.iterdir())) > len(kept)


def test_inputs_on_disk_are_made_anew_where_the_training_frames_gave_other_statistics(tmp_path):
    module(tmp_path, "disk")
    other = SpeckleDataModule(RecordedNoise({"val_seen": 8, "train": 20}, 28), Spectra(), 4, cache="disk")
    one = SpeckleDataModule(RecordedNoise({"val_seen": 8, "train": 40}, 28), Spectra(), 4, cache="disk")
    for data in (one, other):
        data.cache_folder = tmp_path
        data.setup()
    assert torch.equal(one.splits["val_seen"].speckle, other.splits["val_seen"].speckle)
    expected = other.preparation(other.splits["val_seen"].speckle[:, None]).flatten(1, 2)
    torch.testing.assert_close(other.inputs["val_seen"].speckle[:], expected, atol=1e-5, rtol=1e-5)


def test_a_frame_that_gives_no_finite_input_is_named(tmp_path):
    data = SpeckleDataModule(source(bad=5), Spectra(), 4)
    with pytest.raises(InvalidValue, match=r"the speckle of train pair 5: 0.02% of the pixels are NaN or infinite"):
        data.setup()
