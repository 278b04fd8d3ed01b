"""Frames without objects: every format reads back exactly; what cannot be read is named."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.files import FileSettings
from spt.data.frames import read_frames

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (3, 18, 20)).astype(np.uint8)


def saved(folder, name, array):
    path = folder / name
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, speckle=array)
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_an_array_file(tmp_path, name):
    frames = read_frames(saved(tmp_path, name, BYTES))
    assert frames.dtype == torch.uint8
    assert np.array_equal(frames, BYTES)


@pytest.mark.parametrize("array", [BYTES[..., None], BYTES[:1], BYTES[0], BYTES.astype(">u2"), BYTES / 255.0])
def test_shapes_and_types_of_an_array(tmp_path, array):
    frames = read_frames(saved(tmp_path, "a.npy", array))
    assert frames.ndim == 3
    assert np.allclose(frames, array.reshape(-1, 18, 20))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_folder_of_images_in_the_order_of_their_names(tmp_path, suffix):
    for name, frame in zip("bca", BYTES, strict=True):
        saved(tmp_path, name + suffix, frame)
    (tmp_path / "notes.txt").write_text("not a frame")
    assert np.array_equal(read_frames(tmp_path), BYTES[[2, 0, 1]])


def test_sixteen_bits_are_kept(tmp_path):
    frame = RNG.integers(0, 65536, (18, 20)).astype(np.uint16)
    assert np.array_equal(read_frames(saved(tmp_path, "a.png", frame))[0], frame)


def test_array_files_of_a_folder_are_joined(tmp_path):
    saved(tmp_path, "1.npy", BYTES[:2])
    saved(tmp_path, "2.npy", BYTES[2:])
    assert np.array_equal(read_frames(tmp_path), BYTES)


def test_every_page_of_a_picture_is_a_frame(tmp_path):
    pages = [Image.fromarray(frame) for frame in BYTES]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(read_frames(tmp_path / "a.tif"), BYTES)


def test_thirty_two_bits_are_kept(tmp_path):
    frame = np.array([[0, 70_000], [65_536, 1]], np.int32)
    assert np.array_equal(read_frames(saved(tmp_path, "a.tif", frame))[0], frame)


def test_hidden_files_are_no_frames(tmp_path):
    """macOS leaves such a file beside every picture that is copied to a foreign disk."""
    saved(tmp_path, "x.tif", BYTES[0])
    (tmp_path / "._x.tif").write_bytes(b"Mac OS X")
    assert len(read_frames(tmp_path)) == 1


def test_a_limit_takes_files_evenly_and_2_before_10(tmp_path):
    for k in range(12):
        saved(tmp_path, f"f{k}.png", np.full((18, 20), k, np.uint8))
    assert read_frames(tmp_path)[:, 0, 0].tolist() == list(range(12))
    assert read_frames(tmp_path, 4)[:, 0, 0].tolist() == [0, 4, 7, 11]


def test_a_limit_reads_no_more_of_an_array_than_it_takes(tmp_path):
    """A sparse file that is larger than the memory."""
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (40_000, 1024, 1024))[-1] = 3
    assert read_frames(path, 2)[:, 0, 0].tolist() == [0, 3]


def refused(path, error, message):
    with pytest.raises(error, match=re.escape(message)):
        read_frames(path)


def test_what_is_not_there(tmp_path):
    refused(tmp_path / "none", FileNotFoundError, f"{tmp_path / 'none'} is not there. Check the path.")
    refused(tmp_path, FileNotFoundError, f"{tmp_path} holds no .png, .bmp, .jpg")


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "b.png").write_bytes(b"picture")
    refused(tmp_path / "a.npy", ValueError, "a.npy cannot be read as .npy")
    refused(tmp_path / "b.png", ValueError, "b.png cannot be read as a picture")


def test_what_is_no_frame(tmp_path):
    colour = saved(tmp_path, "a.png", np.zeros((8, 8, 3), np.uint8))
    refused(colour, ValueError, "a.png is a colour image (3 channels), and one channel is needed. Set colour=luminance")
    field = saved(tmp_path, "b.npy", np.ones((2, 8, 8), np.complex64))
    refused(field, ValueError, "b.npy holds complex numbers, and an image has real ones. Save what the camera sees")
    volume = saved(tmp_path, "c.npy", np.ones((2, 8, 8, 5)))
    refused(volume, ValueError, "c.npy has shape (2, 8, 8, 5), and no axis is one channel")


def test_frames_of_different_sizes(tmp_path):
    saved(tmp_path, "1.npy", BYTES)
    saved(tmp_path, "2.npy", BYTES[:, :16])
    refused(tmp_path, ValueError, "2.npy[0]: images of 16x20 px (torch.uint8), but")


def test_an_array_of_a_file_and_settings(tmp_path):
    np.savez(tmp_path / "a.npz", x=BYTES.transpose(1, 2, 0), y=BYTES)
    assert np.array_equal(read_frames(f"{tmp_path}/a.npz:x", None, FileSettings(axes="hwn")), BYTES)
    BYTES.tofile(tmp_path / "a.raw")
    assert np.array_equal(read_frames(tmp_path / "a.raw", 2, FileSettings(dtype="u1", shape=(18, 20))), BYTES[[0, 2]])
