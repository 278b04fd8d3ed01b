"""Sets on disk: the same bits after any interruption, and nothing half-valid."""

import fcntl
import json
import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from spt.data.hdf5 import SavedSpeckles, read_set
from spt.data.hdf5_writer import CHUNK, _bytes, write_set
from spt.data.objects import SparseObjects
from spt.data.simulated import SimulatedSpeckles
from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup

SETUP = ThinDiffuserSetup(
    window=16,
    grid=56,
    pitch=4e-6,
    wavelength=532e-9,
    object_distance=0.5e-3,
    camera_distance=(1e-3, 1.5e-3),
    diffuser=ThinDiffuser(sigma_phi=2.92, correlation_length=33.1e-6),
)


@pytest.fixture
def source(tmp_path):
    return SimulatedSpeckles(
        SETUP, Camera(), SparseObjects(), train=140, validation=66, train_diffusers=2, cache=str(tmp_path / "cache")
    )


@pytest.fixture(params=["fixed", "fresh"])
def either(source, request):
    return replace(source, train_diffusers=2 if request.param == "fixed" else None)


class Stop(BaseException):
    """As sudden as a signal."""


def stop_after(monkeypatch, chunks, error=Stop):
    """Let a simulation end after some chunks."""
    original, calls = SimulatedSpeckles.simulate, []

    def simulate(self, *chunk):
        calls.append(chunk[:3])
        if len(calls) > chunks:
            raise error
        return original(self, *chunk)

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
    """Bit by bit: the source's own simulation, chunk by chunk in memory."""
    write_set(tmp_path / "a.h5", either)
    for split, pairs in SavedSpeckles(str(tmp_path / "a.h5")).load().items():
        noise, count = either.noise(split), len(pairs)
        chunks = [either.simulate(split, at, min(at + CHUNK, count), noise) for at in range(0, count, CHUNK)]
        for name in ("speckle", "target", "diffuser"):
            assert np.array_equal(getattr(pairs, name), np.concatenate([chunk[name] for chunk in chunks])), name
        for name in ("object", "distance"):
            assert np.array_equal(pairs.parameters[name], np.concatenate([chunk[name] for chunk in chunks])), name
    assert same(SavedSpeckles(str(tmp_path / "a.h5")).load(), either.load())


def test_the_file_describes_itself(source, tmp_path):
    write_set(tmp_path / "a.h5", source)
    with h5py.File(tmp_path / "a.h5") as file:
        attributes = dict(file.attrs)
        assert file["train/speckle"].chunks == (64, 16, 16)
        assert [file[split]["speckle"].shape for split in attributes["splits"]] == [(140, 16, 16)] + [(66, 16, 16)] * 3
        assert file["train/speckle"].dtype == file["train/target"].dtype == np.uint8
        assert file["train/distance"].dtype == np.float64
        assert set(file) == {"train", "val_seen", "val_class", "val_unseen"}
    assert attributes["settings.setup.wavelength"] == 532e-9
    assert attributes["settings.setup.diffuser.sigma_phi"] == 2.92
    assert json.loads(attributes["settings.setup.camera_distance"]) == [1e-3, 1.5e-3]
    assert attributes["settings.camera.read_noise"] == 2.0
    assert attributes["settings.objects.held_out"] == "47AaGgKkRr"
    assert attributes["seed"] == 0
    assert attributes["torch_version"] == torch.__version__
    assert json.loads(attributes["settings"]) == source.settings()
    assert SavedSpeckles(str(tmp_path / "a.h5")).size == 16


@pytest.mark.parametrize("chunks", [0, 1, 3, 6])
def test_an_interrupted_set_goes_on_to_the_same_bits(either, tmp_path, monkeypatch, chunks):
    """Within a split, between two, before anything: 3 chunks of train, 2 of each other split."""
    path, whole = tmp_path / "a.h5", either.load()
    calls = stop_after(monkeypatch, chunks)
    with pytest.raises(Stop):
        write_set(path, either)
    assert sorted(p.name for p in tmp_path.glob("a.h5*")) == ["a.h5.part"]
    monkeypatch.undo()
    again = stop_after(monkeypatch, 100)
    write_set(path, replace(either))
    assert len(again) == 9 - chunks
    assert again[0] == calls[-1]
    assert same(read_set(path), whole)
    assert sorted(p.name for p in tmp_path.glob("a.h5*")) == ["a.h5"]


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
    farther = replace(source, setup=replace(SETUP, object_distance=0.6e-3))
    with pytest.raises(ValueError, match=r"beginning of another set: setup.object_distance is 0.0006 here and 0.0005"):
        write_set(tmp_path / "a.h5", farther)
    assert (tmp_path / "a.h5.part").read_bytes() == before


@pytest.mark.parametrize("keep", [100, 3000])
def test_a_damaged_part_file_is_begun_again(source, tmp_path, monkeypatch, caplog, keep):
    stop_after(monkeypatch, 2)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    monkeypatch.undo()
    part = tmp_path / "a.h5.part"
    part.write_bytes(part.read_bytes()[:keep])
    write_set(tmp_path / "a.h5", source)
    assert "cannot be continued" in caplog.text
    assert same(read_set(tmp_path / "a.h5"), source.load())


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
    assert size - 2**20 < _bytes(either, either.counts) < size


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


def test_a_disk_that_fills_all_the_same_leaves_what_is_finished(source, tmp_path, monkeypatch):
    stop_after(monkeypatch, 3, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match=r"No space left on device.*the same command goes on there"):
        write_set(tmp_path / "a.h5", source)
    assert not (tmp_path / "a.h5").exists()
    monkeypatch.undo()
    write_set(tmp_path / "a.h5", source)
    assert same(read_set(tmp_path / "a.h5"), source.load())


def test_a_folder_that_cannot_be_made(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        write_set(tmp_path / "file" / "a.h5", source)


def test_a_part_file_in_use_is_left_alone(source, tmp_path, monkeypatch):
    stop_after(monkeypatch, 1)
    with pytest.raises(Stop):
        write_set(tmp_path / "a.h5", source)
    monkeypatch.undo()
    with (tmp_path / "a.h5.part").open() as other_process:
        fcntl.flock(other_process, fcntl.LOCK_EX)
        with pytest.raises(OSError, match=r"is being written by another process.*a.h5.part"):
            write_set(tmp_path / "a.h5", source)


def test_a_cached_set_waits_for_the_process_that_writes_it(source, monkeypatch, caplog):
    """Two runs that start together simulate once."""
    caplog.set_level("INFO")
    part = source.path.with_name(source.path.name + ".part")
    part.parent.mkdir(parents=True)
    other_process = part.open("a")
    fcntl.flock(other_process, fcntl.LOCK_EX)
    monkeypatch.setattr("spt.data.simulated.time.sleep", lambda seconds: other_process.close())
    assert len(source.load()["train"]) == 140
    assert caplog.text.count("Another process simulates this set") == 1
