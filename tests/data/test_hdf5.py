"""Sets on disk are opened at once and read when an image is asked for; what is wrong is named."""

import fcntl
import resource
import time

import h5py
import numpy as np
import pytest

from spt.data.hdf5 import SavedSpeckles
from spt.data.hdf5_writer import write_set
from spt.data.objects import SparseObjects
from spt.data.pairs import PairsDataset
from spt.data.preparation import Amplitude
from spt.data.simulated import SimulatedSpeckles
from spt.errors import InvalidValue
from spt.optics import Camera, RandomMatrixSetup


@pytest.fixture
def source(tmp_path):
    setup = RandomMatrixSetup(window=16, inputs=4)
    return SimulatedSpeckles(setup, Camera(), SparseObjects(), train=5, validation=2, cache=str(tmp_path / "cache"))


def test_every_split_is_read_with_what_is_known_of_it(source, tmp_path):
    write_set(tmp_path / "a.h5", source)
    saved = SavedSpeckles(str(tmp_path / "a.h5"))
    saved.prepare()
    assert saved.frame_size == saved.object_size == (16, 16)
    splits = saved.load()
    assert {name: len(pairs) for name, pairs in splits.items()} == source.counts
    assert set(splits["train"].parameters) == {"object", "seed"}
    assert (
        abs(splits["train"].parameters["seed"].unique().item()) > 2**40
    )  # a whole number of 64 bits, kept to the last


def test_no_file_named():
    with pytest.raises(ValueError, match=r"data.source.path is missing: name a file that"):
        SavedSpeckles(None).load()


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b.h5 is not there. `python scripts/simulate.py out="):
        SavedSpeckles(str(tmp_path / "b.h5")).prepare()


def damage(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "text":
        path.write_text("no HDF5")
    else:
        with h5py.File(path, "r+") as file:
            if how == "foreign":
                del file.attrs["format"]
            elif how == "newer":
                file.attrs["version"] = 2
            elif how == "without speckle":
                del file["train/speckle"]
            elif how == "without split":
                del file["val_seen"]
            elif how == "unequal":
                del file["train/object"]
                file["train/object"] = np.arange(3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "truncated"),
        ("text", "file signature not found"),
        ("foreign", "it is no spt speckle set"),
        ("newer", "it is of version 2, and this spt reads up to 1. Update spt"),
        ("without speckle", "speckle"),
        ("without split", "val_seen"),
    ],
)
def test_files_that_are_no_set_are_named(source, tmp_path, how, message):
    path = tmp_path / "a.h5"
    write_set(path, source)
    damage(path, how)
    with pytest.raises(InvalidValue, match=f"{path} cannot be read as a data set: .*{message}"):
        SavedSpeckles(str(path)).load()


def test_columns_of_another_length(source, tmp_path):
    write_set(tmp_path / "a.h5", source)
    damage(tmp_path / "a.h5", "unequal")
    with pytest.raises(InvalidValue, match="'train': one value of 'object' a pair is needed"):
        SavedSpeckles(str(tmp_path / "a.h5")).load()


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_a_frame_that_no_camera_records_is_named_when_it_is_read(source, tmp_path, value):
    path = tmp_path / "a.h5"
    write_set(path, source)
    with h5py.File(path, "r+") as file:
        del file["train/speckle"]
        frames = np.ones((5, 16, 16), np.float32)
        frames[3, 2, 1] = value
        file["train/speckle"] = frames
    speckle = SavedSpeckles(str(path)).load()["train"].speckle
    assert speckle[[4, 0]].shape == (2, 16, 16)
    with pytest.raises(
        InvalidValue, match=r"a.h5:train/speckle\[3\] \(counted from 0\): the speckle holds NaN, infinity"
    ):
        speckle[[2, 3]]


def test_a_set_of_tens_of_gigabytes_opens_at_once_and_gives_a_batch_in_a_small_memory(source, tmp_path):
    """A file without written chunks takes no place on the disk: all frames but one are zeros."""
    path = tmp_path / "a.h5"
    write_set(path, source)
    with h5py.File(path, "r+") as file:
        for name in ("speckle", "target"):
            del file[f"train/{name}"]
            file.create_dataset(f"train/{name}", (500_000, 256, 256), np.uint8, chunks=(64, 256, 256))
        file["train/speckle"][400_001] = 7
        for name in ("diffuser", "object", "seed"):
            del file[f"train/{name}"]
            file[f"train/{name}"] = np.zeros(500_000, np.int64)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = SavedSpeckles(str(path)).load()["train"]
    data = PairsDataset(pairs, Amplitude(transform="none", scale="none"))
    batch = data.__getitems__([400_001, 3, 250_000, 499_999])
    assert batch["speckle"].mean((1, 2, 3)).tolist() == [7, 0, 0, 0]
    assert time.perf_counter() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB, of 65,536,000


def test_a_set_that_is_open_elsewhere(source, tmp_path):
    """The lock of HDF5 is of a process, so that another one must hold it."""
    path = tmp_path / "a.h5"
    write_set(path, source)
    with path.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidValue, match=r"a.h5 is open in another program, which may be writing it. Close it"):
            SavedSpeckles(str(path)).load()
