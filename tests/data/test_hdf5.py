"""Sets on disk are read whole, or refused by name."""

import fcntl

import h5py
import numpy as np
import pytest

from spt.data.hdf5 import SavedSpeckles
from spt.data.hdf5_writer import write_set
from spt.data.objects import SparseObjects
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
            elif how == "negative":
                del file["train/speckle"]
                file["train/speckle"] = -np.eye(16, dtype=np.float32)[None].repeat(5, 0)
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


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("unequal", "'train': one value of 'object' a pair is needed"),
        (
            "negative",
            r"a.h5, train/speckle: frame\(s\) 0, 1, 2, 3, 4 .* hold NaN, infinity or negative",
        ),
    ],
)
def test_what_is_wrong_inside_a_set_is_named(source, tmp_path, how, message):
    write_set(tmp_path / "a.h5", source)
    damage(tmp_path / "a.h5", how)
    with pytest.raises(InvalidValue, match=message):
        SavedSpeckles(str(tmp_path / "a.h5")).load()


def test_a_set_larger_than_the_memory(source, tmp_path):
    """A sparse file of 9 TiB takes no place on the disk."""
    path = tmp_path / "a.h5"
    write_set(path, source)
    with h5py.File(path, "r+") as file:
        del file["train/speckle"]
        file.create_dataset("train/speckle", (36864, 16384, 16384), np.uint8, chunks=(1, 64, 64))
    with pytest.raises(InvalidValue, match=r"a.h5 holds 9216\.0 GiB, and this machine has .* Write a smaller set"):
        SavedSpeckles(str(path)).load()


def test_a_set_that_is_open_elsewhere(source, tmp_path):
    """The lock of HDF5 is of a process, so that another one must hold it."""
    path = tmp_path / "a.h5"
    write_set(path, source)
    with path.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidValue, match=r"a.h5 is open in another program, which may be writing it. Close it"):
            SavedSpeckles(str(path)).load()
