"""The cache on disk: one file for all, made anew when its sources change or it is damaged."""

import multiprocessing
import os
import pickle
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.cache import disk as disk_cache
from spt.data.cache.disk import on_disk
from spt.data.files import FileSettings, open_folder, open_frames
from spt.data.files.frames import Frames, Joined, Selected
from spt.data.files.levels import Objects
from spt.data.pairs import PreparedTargets
from spt.data.preparation import TargetPreparation
from spt.errors import InvalidValue

PIXELS = np.random.default_rng(0).integers(0, 4096, (10, 6, 5)).astype(np.uint16)


@pytest.fixture
def frames(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    return open_frames(tmp_path / "a.npy", settings=FileSettings(axes="nhw"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def only(folder):
    (path,) = folder.glob("images-*.npy")
    return path


def test_a_second_run_shares_the_file(frames, folder):
    on_disk(frames, folder)
    before = only(folder).stat().st_mtime_ns
    read = []
    assert np.array_equal(on_disk(frames, folder, read.append)[:].numpy(), PIXELS)
    assert read == []
    assert only(folder).stat().st_mtime_ns == before


def test_the_file_is_an_array_that_numpy_maps(frames, folder):
    on_disk(frames, folder)
    assert np.array_equal(np.load(only(folder), mmap_mode="r"), PIXELS)


def test_a_file_that_changed_is_read_again(frames, folder, tmp_path):
    on_disk(frames, folder)
    np.save(tmp_path / "a.npy", PIXELS + 1)
    os.utime(tmp_path / "a.npy", ns=(1, 1))
    again = open_frames(tmp_path / "a.npy", settings=FileSettings(axes="nhw"))
    assert np.array_equal(on_disk(again, folder)[:].numpy(), PIXELS + 1)
    assert len(list(folder.glob("images-*.npy"))) == 2


def pictures(folder):
    if not folder.exists():
        folder.mkdir()
        for k in range(2):
            Image.fromarray(np.full((4, 4), 90 * k, np.uint8)).save(folder / f"{k}.png")
    return open_folder(folder)


@pytest.mark.parametrize(
    "other",
    [
        lambda frames, tmp_path: Selected(frames, [1, 0]),
        lambda frames, tmp_path: Joined([frames, frames]),
        lambda frames, tmp_path: Objects(frames, 4095, "full_scale"),
        lambda frames, tmp_path: PreparedTargets(frames, TargetPreparation(rotate=90)),
        lambda frames, tmp_path: PreparedTargets(frames, TargetPreparation(rotate=180)),
        lambda frames, tmp_path: open_frames(tmp_path / "a.npy", settings=FileSettings(axes="nwh")),
        lambda frames, tmp_path: pictures(tmp_path / "pictures"),
    ],
)
def test_what_is_read_in_another_way_has_another_fingerprint(frames, tmp_path, other):
    """And the same one when it is opened again."""
    assert other(frames, tmp_path).fingerprint() == other(frames, tmp_path).fingerprint() != frames.fingerprint()


def test_rotations_differ(frames):
    prints = {PreparedTargets(frames, TargetPreparation(rotate=angle)).fingerprint() for angle in (90, 180, 270)}
    assert len(prints) == 3


def test_raw_pixels_at_another_place_have_another_fingerprint(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(range(48)))
    prints = {
        open_frames(tmp_path / "a.raw", settings=FileSettings(dtype="u1", shape=[4, 4], offset=at)).fingerprint()
        for at in (0, 16, 32)
    }
    assert len(prints) == 3


def test_a_changed_picture_has_another_fingerprint(tmp_path):
    before = pictures(tmp_path / "p").fingerprint()
    Image.fromarray(np.full((4, 4), 1, np.uint8)).save(tmp_path / "p" / "1.png")
    os.utime(tmp_path / "p" / "1.png", ns=(1, 1))
    assert open_folder(tmp_path / "p").fingerprint() != before


class Unknown(Frames):
    dtype, shape = torch.uint8, (1, 2, 2)

    def read(self, rows):
        return torch.zeros(len(rows), 2, 2, dtype=torch.uint8)

    def name(self, row):
        return "somewhere"


def test_images_that_do_not_say_their_files_are_refused(folder):
    with pytest.raises(InvalidValue, match=r"data\.cache=disk cannot keep somewhere: Unknown does not say which files"):
        on_disk(Unknown(), folder)


@pytest.mark.parametrize("left", [0, 7, 200, 400, 727])
def test_a_truncated_file_is_written_anew(frames, folder, caplog, left):
    """Empty, within the header, within the pixels, within the checksums."""
    on_disk(frames, folder)
    path = only(folder)
    assert path.stat().st_size == 128 + 600 + 40
    os.truncate(path, left)
    assert np.array_equal(on_disk(frames, folder)[:].numpy(), PIXELS)
    assert path.stat().st_size == 768
    assert "is damaged and is written anew" in caplog.text


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_damaged_image_is_read_from_its_own_file_and_the_next_run_writes_it_anew(frames, folder, caplog):
    on_disk(frames, folder)
    flip(only(folder), 128 + 3 * 60 + 5)
    damaged = on_disk(frames, folder)
    assert np.array_equal(damaged[[0, 1]].numpy(), PIXELS[:2])
    assert caplog.text == ""
    assert np.array_equal(damaged[[2, 3]].numpy(), PIXELS[2:4])
    assert "is damaged. The images are read from their own files" in caplog.text
    assert list(folder.glob("images-*.npy")) == []
    assert np.array_equal(damaged[:].numpy(), PIXELS)
    assert np.array_equal(on_disk(frames, folder)[:].numpy(), PIXELS)
    assert len(list(folder.glob("images-*.npy"))) == 1


def test_a_cache_that_is_emptied_during_a_run(frames, folder, caplog):
    cached = on_disk(frames, folder)
    shutil.rmtree(folder)
    assert np.array_equal(cached[:].numpy(), PIXELS)
    assert "cannot be read" in caplog.text


def test_a_full_disk_is_refused_with_both_sizes(frames, folder, monkeypatch):
    monkeypatch.setattr(disk_cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 361, 639))
    with pytest.raises(
        InvalidValue, match=r"data.cache=disk needs 640 B in .*cache, where 639 B are free. Set SPT_CACHE"
    ):
        on_disk(frames, folder)


def test_a_folder_that_cannot_be_made(frames, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"data\.cache=disk: ") as error:
        on_disk(frames, tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in str(error.value.filename)


def test_it_can_be_pickled(frames, folder):
    cached = on_disk(frames, folder)
    assert pickle.loads(pickle.dumps(cached))[:].equal(frames[:])


def _together(path, folder, barrier, results):
    frames = open_frames(path, settings=FileSettings(axes="nhw"))
    written = []
    barrier.wait()
    images = on_disk(frames, folder, written.append)[:].numpy()
    results.put((sum(written), np.array_equal(images, PIXELS)))


def test_several_processes_share_one_cache(frames, folder, tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(4), fork.Queue()
    processes = [fork.Process(target=_together, args=(tmp_path / "a.npy", folder, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert found == [(0, True)] * 3 + [(600, True)]


class Stuck(Frames):
    """Images whose reading does not end."""

    shape, dtype = (4, 6, 5), torch.uint8

    def __init__(self, label, ready):
        self.label, self.ready = label, ready

    def read(self, rows):
        self.ready.set()
        time.sleep(600)

    def name(self, row):
        return self.label

    def fingerprint(self):
        return self.label


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(frames, folder):
    fork = multiprocessing.get_context("fork")
    ready = {label: fork.Event() for label in ("killed", "living")}
    writers = {
        label: fork.Process(target=on_disk, args=(Stuck(label, event), folder)) for label, event in ready.items()
    }
    try:
        for label, writer in writers.items():
            writer.start()
            assert ready[label].wait(60)
        writers["killed"].kill()
        writers["killed"].join()
        assert len(list(folder.glob(".*.part"))) == 2
        on_disk(frames, folder)
        (left,) = folder.glob(".*.part")
        assert left.name.split(".")[-2] == str(writers["living"].pid)
    finally:
        for writer in writers.values():
            writer.kill()
            writer.join()
