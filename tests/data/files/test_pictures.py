"""PNG, BMP, JPEG and JPEG 2000: grey levels as they are stored; colour only as a setting says."""

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.files import FileSettings, open_frames
from spt.errors import InvalidValue

GREY = np.random.default_rng(0).integers(0, 256, (20, 28)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (20, 28, 3)).astype(np.uint8)


def saved(folder, name, array, mode=None, **options):
    picture = Image.fromarray(array)
    (picture if mode is None else picture.convert(mode)).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.bmp", {}), ("a.JP2", {"irreversible": False})])
def test_grey_levels_of_8_bit(tmp_path, name, options):
    frames = open_frames(saved(tmp_path, name, GREY, **options))
    assert frames.shape == (1, 20, 28)
    assert frames.dtype == torch.uint8
    assert np.array_equal(frames[0], GREY)
    assert np.array_equal(frames[[0, 0, 0]], np.stack([GREY] * 3))
    assert frames.name(0) == str(tmp_path / name)


def test_jpeg_is_read_with_its_loss(tmp_path):
    smooth = np.add.outer(np.arange(20), np.arange(28)).astype(np.uint8) * 5
    frames = open_frames(saved(tmp_path, "a.jpg", smooth, quality=100))
    assert np.abs(frames[0].numpy().astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.jp2"])
def test_sixteen_bits(tmp_path, name):
    words = GREY.astype(np.uint16) * 257
    frames = open_frames(saved(tmp_path, name, words))
    assert frames.dtype == torch.uint16
    assert np.array_equal(frames[0], words)


def test_one_bit(tmp_path):
    frames = open_frames(saved(tmp_path, "a.png", GREY > 99))
    assert frames.dtype == torch.bool
    assert np.array_equal(frames[0], GREY > 99)


def test_a_grey_palette_is_grey(tmp_path):
    picture = Image.fromarray(GREY).convert("P")
    picture.putpalette([level for level in range(255, -1, -1) for _ in range(3)])
    picture.save(tmp_path / "a.png")
    grey = np.asarray(picture.convert("L"))
    assert not np.array_equal(grey, GREY)
    assert np.array_equal(open_frames(tmp_path / "a.png")[0], grey)


def test_opacity_is_left_out(tmp_path):
    assert np.array_equal(open_frames(saved(tmp_path, "a.png", GREY, "LA"))[0], GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("setting", [0, 1, 2, "red", "green", "blue"])
def test_a_channel_of_a_colour_picture(tmp_path, mode, setting):
    number = {"red": 0, "green": 1, "blue": 2}.get(setting, setting)
    frames = open_frames(saved(tmp_path, "a.png", COLOUR, mode), None, FileSettings(colour=setting))
    assert np.array_equal(frames[0], COLOUR[..., number])


def test_luminance(tmp_path):
    path = saved(tmp_path, "a.png", COLOUR)
    frames = open_frames(path, None, FileSettings(colour="luminance"))
    assert np.abs(frames[0].numpy() - COLOUR @ [0.299, 0.587, 0.114]).max() <= 0.51
    equal = saved(tmp_path, "b.png", np.stack([GREY] * 3, -1))
    assert np.array_equal(open_frames(equal, None, FileSettings(colour="luminance"))[0], GREY)


def test_colour_without_a_setting(tmp_path):
    settings = FileSettings(prefix="data.source.")
    with pytest.raises(
        InvalidValue, match=r"a.png is a colour image \(3 channels\).* Set data.source.colour=luminance"
    ):
        open_frames(saved(tmp_path, "a.png", COLOUR), None, settings)
    with pytest.raises(InvalidValue, match=r"b.png is a colour image \(3 channels\)"):
        open_frames(saved(tmp_path, "b.png", COLOUR, "P"))
    with pytest.raises(InvalidValue, match=r"a.png has 3 channels, and colour=5 is none of them \(0 to 2\)"):
        open_frames(tmp_path / "a.png", None, FileSettings(colour=5))


def test_grey_pictures_among_colour_need_no_channel(tmp_path):
    assert np.array_equal(open_frames(saved(tmp_path, "a.png", GREY), None, FileSettings(colour="green"))[0], GREY)


def test_colours_of_16_bit_are_refused(tmp_path):
    """Pillow would read 8 bits of them. The file is written by hand, as Pillow cannot."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InvalidValue, match=r"a.png has colours of 16 bit"):
        open_frames(tmp_path / "a.png", None, FileSettings(colour="green"))


def test_moving_pictures_are_refused(tmp_path):
    first, second = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.raises(InvalidValue, match=r"a.png holds 2 pictures. Save one image a file"):
        open_frames(tmp_path / "a.png")


def test_a_picture_that_changes_after_it_was_opened(tmp_path):
    frames = open_frames(saved(tmp_path, "a.png", GREY))
    saved(tmp_path, "a.png", GREY[:10])
    with pytest.raises(InvalidValue, match=r"a.png has changed since it was opened"):
        frames[0]
