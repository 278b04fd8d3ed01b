"""TIFF as cameras, ImageJ, MATLAB and Python write it."""

import pickle

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from spt.data.files import FileSettings, open_folder, open_frames, open_picture
from spt.data.files.npy import MappedArray
from spt.errors import InvalidValue

WORDS = np.random.default_rng(0).integers(0, 65536, (5, 40, 48)).astype(np.uint16)
ROWS = [4, 0, 0]


def check(path, expected, settings=FileSettings()):  # noqa: B008  # an immutable value
    frames = pickle.loads(pickle.dumps(open_frames(path, None, settings)))
    assert frames.shape == expected.shape
    assert np.array_equal(
        frames[[row % len(expected) for row in ROWS]], expected[[row % len(expected) for row in ROWS]]
    )
    assert np.array_equal(frames[:], expected)
    return frames


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4"])
def test_pages_of_every_type(tmp_path, kind, bigtiff, order):
    pages = (WORDS / 3 - (0 if kind[0] == "u" else 1000)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", pages, byteorder=order, bigtiff=bigtiff, photometric="minisblack")
    frames = check(tmp_path / "a.tif", pages)
    assert str(frames.dtype) == f"torch.{np.dtype(kind).name}"
    assert isinstance(frames.stored, MappedArray)  # nothing is unpacked


@pytest.mark.parametrize(("kind", "read"), [("f8", torch.float32), ("u4", torch.int32)])
def test_wider_types(tmp_path, kind, read):
    tifffile.imwrite(tmp_path / "a.tif", (WORDS // 3).astype(kind))
    assert check(tmp_path / "a.tif", WORDS // 3).dtype == read


@pytest.mark.parametrize("compression", ["packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_compressed_pages(tmp_path, compression, kind):
    pages = (WORDS if kind == "u2" else WORDS >> 8).astype(kind)
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others, compression=compression)
    check(tmp_path / "a.tif", pages)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4", "f8", "i4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_and_predictors(tmp_path, kind, order):
    pages = (WORDS // 300).astype(kind)
    options = {"compression": "zlib", "tile": (16, 16), "photometric": "minisblack", "byteorder": order}
    tifffile.imwrite(tmp_path / "a.tif", pages, predictor=kind[0] != "f", **options)
    check(tmp_path / "a.tif", pages)


def test_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", WORDS[0])
    frames = check(tmp_path / "a.tif", WORDS[:1])
    assert frames.name(0) == str(tmp_path / "a.tif")


def test_masks_of_one_bit(tmp_path):
    Image.fromarray(WORDS[0] > 20_000).save(tmp_path / "a.tif")
    assert check(tmp_path / "a.tif", WORDS[:1] > 20_000).dtype == torch.bool


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_white_is_zero(tmp_path, kind):
    pages = (WORDS if kind == "u2" else WORDS >> 8).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", np.iinfo(kind).max - pages, photometric="miniswhite")
    check(tmp_path / "a.tif", pages)
    tifffile.imwrite(tmp_path / "b.tif", np.iinfo(kind).max - pages, photometric="miniswhite", compression="zlib")
    check(tmp_path / "b.tif", pages)


def test_stacks_of_imagej(tmp_path):
    """ImageJ writes one header for all pages."""
    tifffile.imwrite(tmp_path / "a.tif", WORDS, imagej=True, truncate=True)
    assert len(tifffile.TiffFile(tmp_path / "a.tif").pages) == 1
    check(tmp_path / "a.tif", WORDS)
    tifffile.imwrite(tmp_path / "b.tif", WORDS[:4].reshape(2, 2, 40, 48), imagej=True, metadata={"axes": "TZYX"})
    check(tmp_path / "b.tif", WORDS[:4])


def test_a_stack_of_imagej_whose_bytes_are_at_hand(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", WORDS, imagej=True, truncate=True)
    with pytest.raises(InvalidValue, match=r"in.zip/a.tif has fewer headers than pages, as ImageJ writes"):
        open_picture("in.zip/a.tif", (tmp_path / "a.tif").read_bytes())


def test_stacks_that_ome_describes(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", WORDS, metadata={"axes": "TYX"}, photometric="minisblack")
    check(tmp_path / "a.ome.tif", WORDS)


def test_pages_that_are_written_one_by_one(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in WORDS:
            file.write(page, contiguous=False)
    check(tmp_path / "a.tif", WORDS)


def test_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(WORDS[0])
        file.write(WORDS[0, :20])
    with pytest.raises(InvalidValue, match=r"a.tif holds pages of different sizes or types: \(40, 48\), \(20, 48\)"):
        open_frames(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colour(tmp_path, compression, planes):
    colour = WORDS[:3].transpose(1, 2, 0) if planes == "contig" else WORDS[:3]
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", planarconfig=planes, compression=compression)
    with pytest.raises(InvalidValue, match=r"a.tif is a colour image \(3 channels\).* Set colour=luminance"):
        open_frames(tmp_path / "a.tif")
    check(tmp_path / "a.tif", WORDS[1:2], FileSettings(colour="green"))
    luminance = (WORDS[:3] * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    frames = open_frames(tmp_path / "a.tif", None, FileSettings(colour="luminance"))
    assert frames.dtype == torch.uint16
    assert np.abs(frames[0].numpy() - luminance).max() <= 0.5 + 1e-6


def test_palettes_are_refused(tmp_path):
    picture = Image.fromarray(WORDS[0].astype(np.uint8)).convert("P")
    picture.putpalette(list(range(256)) * 3)
    picture.save(tmp_path / "a.tif")
    with pytest.raises(InvalidValue, match=r"a.tif has a palette of colours. Save grey levels"):
        open_frames(tmp_path / "a.tif")


def test_complex_pixels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", WORDS + 1j)
    with pytest.raises(InvalidValue, match=r"a.tif holds complex numbers"):
        open_frames(tmp_path / "a.tif")


def test_the_published_scattering_data(real_data):
    """PackBits, as published."""
    frames = open_folder(real_data / "real_220grit" / "raw_sample")
    assert frames.shape[1:] == (512, 512)
    for row in range(len(frames)):
        assert np.array_equal(frames[row], np.asarray(Image.open(frames.name(row).removesuffix("[0]"))))
