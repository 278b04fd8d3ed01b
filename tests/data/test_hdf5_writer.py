"""Sets on disk: the same bits after any interruption, and nothing half-valid."""

import json
import os
import threading
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from conftest import in_memory
from filelock import FileLock
from simulated_sources import RANGE

from spt.data.hdf5 import SavedSpeckles, read_set
from spt.data.hdf5_writer import _bytes, write_set
from spt.data.objects import SparseObjects
from spt.data.simulated import SimulatedSpeckles
from spt.optics import Camera


@pytest.fixture
def source(tmp_path):
    return SimulatedSpeckles(
        RANGE, Camera(), SparseObjects(), train=140, validation=66, train_diffusers=2, cache=str(tmp_path / "cache")
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The set of ``source``, simulated without interruption."""
    cache = str(tmp_path_factory.mktemp("whole"))
    return in_memory(SimulatedSpeckles(RANGE, Camera(), SparseObjects(), 140, 66, 2, cache=cache).load())


@pytest.fixture(params=["fixed", "fresh"])
def either(source, request):
    return replace(source, train_diffusers=2 if request.param == "fixed" else None)


class Stop(BaseException):
    """As sudden as a signal."""


def stop_after(monkeypatch, chunks, error=Stop):
    """Let a simulation end after some chunks."""
    original, calls = SimulatedSpeckles.simulate, []

    def simulate(self, *pairs):
        calls.append(pairs[:2])
        if len(calls) > chunks:
            raise error
        return original(self, *pairs)

    monkeypatch.setattr(SimulatedSpeckles, "simulate", simulate)
    return calls


def same(first, second):
    assert list(first) == list(second)
    for name, pairs in first.items():
        for field in ("speckle", "target", "diffuser"):
            assert torch.equal(getattr(pairs, field), getattr(second[name], field)), (name, field)
        assert pairs.parameters.keys() == second[name].parameters.keys()
        for field, values in pairs.parameters.items():
            assert torch.equal(values, second[name].parameters[field]), (name, field)
    return True


def test_the_file_is_what_is_simulated_on_the_fly(either, tmp_path):
    """Bit by bit: the source's own simulation of every split in one piece."""
    write_set(tmp_path / "a.h5", either)
    for split, pairs in in_memory(read_set(tmp_path / "a.h5")).items():
        numbers = range(len(pairs))
        found = either.simulate(split, numbers, either.draw_objects(split, numbers), either.processor)
        stored = {"speckle": pairs.speckle, "target": pairs.target, "diffuser": pairs.diffuser, **pairs.parameters}
        assert stored.keys() == found.keys()
        for name, values in stored.items():
            assert torch.equal(values, found[name].to(values.dtype)), name


def test_the_file_describes_itself(source, tmp_path):
    write_set(tmp_path / "a.h5", source)
    with h5py.File(tmp_path / "a.h5") as file:
        attributes = dict(file.attrs)
        assert file["train/speckle"].chunks == (64, 16, 16)
        assert [file[split]["speckle"].shape for split in attributes["splits"]] == [(140, 16, 16)] + [(66, 16, 16)] * 4
        assert file["train/speckle"].dtype == file["train/target"].dtype == np.uint8
        assert file["train/distance"].dtype == np.float64
        assert set(file) == {"train", "val_seen", "val_class", "val_unseen", "test_seen"}
    assert attributes["settings.setup.wavelength"] == 532e-9
    assert attributes["settings.setup.diffuser.sigma_phi"] == 2.92
    assert json.loads(attributes["settings.setup.camera_distance"]) == [1e-3, 1.5e-3]
    assert attributes["settings.camera.read_noise"] == 2.0
    assert attributes["settings.objects.held_out"] == "47AaGgKkRr"
    assert attributes["seed"] == 0
    assert attributes["torch_version"] == torch.__version__
    assert json.loads(attributes["settings"]) == source.settings()
    assert SavedSpeckles(str(tmp_path / "a.h5")).frame_size == (16, 16)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_an_interrupted_set_goes_on_to_the_same_bits(source, whole, tmp_path, monkeypatch, chunks):
    """Before anything, within a split, between two: 3 chunks of train, 2 of each other split."""
    path = tmp_path / "a.h5"
    calls = stop_after(monkeypatch, chunks)
    with pytest.raises(Stop):
        write_set(path, source)
    assert sorted(p.name for p in tmp_path.glob("a.h5*")) == ["a.h5.part"]
    monkeypatch.undo()
    again = stop_after(monkeypatch, 100)
    write_set(path, replace(source))
    assert len(again) == 11 - chunks
    assert again[0] == calls[-1]
    assert same(in_memory(read_set(path)), whole)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_part_file_is_no_set(source, tmp_path, monkeypatch):
    stop_after(monkeypatch, 4)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    with pytest.raises(ValueError, match=r"a.h5.part cannot be read as a data set: it is not finished"):
        read_set(tmp_path / "a.h5.part")


def test_a_finished_file_is_left_alone(source, tmp_path):
    write_set(tmp_path / "a.h5", source)
    before = (tmp_path / "a.h5").read_bytes()
    for other, what in ((source, "the same set"), (replace(source, seed=1), "another set: seed is 1 here and 0 there")):
        with pytest.raises(FileExistsError, match=f"a.h5 exists already and holds {what}"):
            write_set(tmp_path / "a.h5", other)
    assert (tmp_path / "a.h5").read_bytes() == before


def test_any_other_file_is_left_alone(source, tmp_path):
    (tmp_path / "a.h5").write_text("notes")
    with pytest.raises(FileExistsError, match=r"a.h5 exists already and holds something else"):
        write_set(tmp_path / "a.h5", source)
    assert (tmp_path / "a.h5").read_text() == "notes"


def test_the_beginning_of_another_set_is_left_alone(source, tmp_path, monkeypatch):
    stop_after(monkeypatch, 2)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    monkeypatch.undo()
    before = (tmp_path / "a.h5.part").read_bytes()
    farther = replace(source, setup=replace(RANGE, object_distance=0.6e-3))
    with pytest.raises(ValueError, match=r"beginning of another set: setup.object_distance is 0.0006 here and 0.0005"):
        write_set(tmp_path / "a.h5", farther)
    assert (tmp_path / "a.h5.part").read_bytes() == before


@pytest.mark.parametrize("keep", [100, 3000])
def test_a_damaged_part_file_is_begun_again(source, whole, tmp_path, monkeypatch, caplog, keep):
    stop_after(monkeypatch, 2)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    monkeypatch.undo()
    part = tmp_path / "a.h5.part"
    part.write_bytes(part.read_bytes()[:keep])
    write_set(tmp_path / "a.h5", source)
    assert "cannot be continued" in caplog.text
    assert same(in_memory(read_set(tmp_path / "a.h5")), whole)


def test_a_part_file_that_only_lacks_its_name_is_renamed(source, tmp_path, monkeypatch):
    write_set(tmp_path / "a.h5", source)
    (tmp_path / "a.h5").rename(tmp_path / "a.h5.part")
    calls = stop_after(monkeypatch, 0)
    write_set(tmp_path / "a.h5", source)
    assert not calls
    assert len(read_set(tmp_path / "a.h5")["train"]) == 140


def test_a_disk_too_small_shows_before_anything_is_simulated(source, tmp_path, monkeypatch):
    def full(descriptor, offset, length):
        assert length > 338 * 2 * 16 * 16  # the whole set is asked for
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    calls = stop_after(monkeypatch, 100)
    with pytest.raises(OSError, match=r"No space left on device.*Nothing was left") as caught:
        write_set(tmp_path / "a.h5", source)
    assert caught.value.filename == str(tmp_path / "a.h5")
    assert not calls
    assert not list(tmp_path.glob("a.h5*"))


def test_the_size_is_known_before_hdf5_is_involved(either, tmp_path):
    """To within the megabyte that is added for structure: HDF5 itself does not survive a full disk."""
    write_set(tmp_path / "a.h5", either)
    size = (tmp_path / "a.h5").stat().st_size
    assert size - 2**20 < _bytes(either) < size


def test_the_part_file_has_its_place_on_disk_from_the_beginning(source, tmp_path, monkeypatch):
    """No hole that a full disk could refuse to fill later, and it does not grow."""
    stop_after(monkeypatch, 0)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    begun = (tmp_path / "a.h5.part").stat()
    assert begun.st_blocks * 512 >= begun.st_size > 338 * 2 * 16 * 16
    monkeypatch.undo()
    write_set(tmp_path / "a.h5", source)
    assert (tmp_path / "a.h5").stat().st_size <= begun.st_size


def test_a_disk_that_fills_all_the_same_leaves_what_is_finished(source, whole, tmp_path, monkeypatch):
    stop_after(monkeypatch, 3, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match=r"No space left on device.*the same command goes on there"):
        write_set(tmp_path / "a.h5", source)
    assert not (tmp_path / "a.h5").exists()
    monkeypatch.undo()
    write_set(tmp_path / "a.h5", source)
    assert same(in_memory(read_set(tmp_path / "a.h5")), whole)


def test_a_folder_that_cannot_be_made(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        write_set(tmp_path / "file" / "a.h5", source)


def test_a_file_that_another_process_writes_is_left_alone(source, tmp_path):
    with (
        FileLock(tmp_path / ".a.h5.lock"),
        pytest.raises(BlockingIOError, match=r"is being written by another process.*a.h5"),
    ):
        write_set(tmp_path / "a.h5", source)


def test_a_cached_set_waits_for_the_process_that_writes_it(source, caplog):
    """Two runs that start together simulate once."""
    caplog.set_level("INFO")
    source.path.parent.mkdir(parents=True)
    begun = threading.Event()

    def write_elsewhere() -> None:
        with FileLock(source.path.with_name(f".{source.path.name}.lock")):
            begun.set()
            time.sleep(0.2)

    threading.Thread(target=write_elsewhere).start()
    begun.wait()
    assert len(source.load()["train"]) == 140
    assert caplog.text.count("Another process simulates this set") == 1


def test_a_set_that_another_process_finished_meanwhile_is_taken(source, monkeypatch):
    source.load()
    calls = stop_after(monkeypatch, 0)
    write_set(source.path, source, wait=True)
    assert not calls
