"""Which grey level is white: found, said, and never a black target in silence."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from spt.data.files import as_objects, describe_levels, open_folder, open_frames
from spt.errors import InvalidValue

RAMP = np.linspace(0, 1, 200).reshape(2, 10, 10)


def stored(folder, array):
    np.save(folder / "a.npy", array)
    return open_frames(folder / "a.npy")


@pytest.mark.parametrize(
    ("array", "white", "said"),
    [
        ((RAMP * 255).astype("u1"), 255, "values 0..255 in 8 bit: 8 bit, full scale 255"),
        ((RAMP * 100).astype("u1"), 255, "values 0..100 in 8 bit: 8 bit, full scale 255"),
        ((RAMP * 65535).astype("u2"), 65535, "values 0..65535 in 16 bit: 16-bit camera, full scale 65535"),
        (
            (RAMP * 4095).astype("u2"),
            4095,
            "values 0..4095 in 16 bit: 12-bit camera, full scale 4095; "
            "set data.source.full_scale=65535 if that is wrong",
        ),
        ((RAMP * 900).astype(">u2"), 1023, "values 0..900 in 16 bit: 10-bit camera, full scale 1023; set "),
        ((RAMP * 16000).astype("i4"), 16383, "values 0..16000 in int32: 14-bit camera, full scale 16383; set "),
        ((RAMP * 200).astype("u2"), 255, "values 0..200 in 16 bit: 8 bit, full scale 255; set "),
        (RAMP.astype("f4"), 1, "values 0..1 in float32: floats in [0, 1], full scale 1"),
        (RAMP * 0.5, 1, "values 0..0.5 in float32: floats in [0, 1], full scale 1"),
        (
            RAMP * 255,
            255,
            "values 0..255 in float32: floats of 8 bit, full scale 255; set data.source.full_scale to the",
        ),
        ((RAMP * 255).round(), 255, "values 0..255 in float32: 8 bit, full scale 255; set "),
        ((RAMP * 4000).round(), 4095, "values 0..4000 in float32: 12-bit camera, full scale 4095; set "),
    ],
)
def test_the_full_scale_is_found_and_said(tmp_path, array, white, said):
    objects, sentence = as_objects(stored(tmp_path, array))
    assert sentence.startswith(f"{tmp_path / 'a.npy'}[0]: {said}")
    objects = pickle.loads(pickle.dumps(objects))
    values = objects[:]
    if array.dtype == np.uint8:
        assert np.array_equal(values, array)
    else:
        assert objects.dtype == values.dtype == torch.float32
        np.testing.assert_allclose(values, array.astype(float) / white, rtol=1e-6)
    assert objects.name(1) == f"{tmp_path / 'a.npy'}[1]"
    assert objects.shape == (2, 10, 10)


@pytest.mark.parametrize("kind", ["?", "u1", "u2", "i8", "f4", "f8"])
def test_masks_of_0_and_1_are_masks_in_every_type(tmp_path, kind):
    mask = RAMP > 0.7
    objects, sentence = as_objects(stored(tmp_path, mask.astype(kind)))
    assert "masks of 0 and 1; set data.source.full_scale" in sentence
    white = 255 if objects.dtype == torch.uint8 else 1
    assert (objects.dtype == torch.uint8) == (kind in "?u1")
    assert np.array_equal(objects[:], mask * white)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            (RAMP * 20).astype("u1"),
            r"values 0..20 in 8 bit, and white would be 255 \(8 bit\), so .* almost black. Set full",
        ),
        (RAMP * 0, "almost black"),
        ((RAMP * 0).astype("u1"), "almost black"),
        (RAMP * 0.05, r"white would be 1 \(floats in \[0, 1\]\), so that the objects would be almost black"),
        ((RAMP * 20).astype("u2"), "almost black"),
        (RAMP - 0.1, r"values -0.1..0.9 in float32. An object has no negative values. Scale the images to \[0, 1\]"),
        (RAMP * 1.2, "values 0..1.2 in float32, and which value is white cannot be seen. Set full"),
        (RAMP * 100.5, "which value is white cannot be seen"),
        (RAMP * 300.5, "which value is white cannot be seen"),
        ((RAMP * 100_000).astype("i4"), "values 0..100000 in int32, and which value is white cannot be seen"),
        (np.where(RAMP > 0.5, np.nan, RAMP), r"a.npy\[1\] holds NaN or infinite values"),
        (np.where(RAMP < 0.01, np.inf, RAMP), r"a.npy\[0\] holds NaN or infinite values"),
    ],
)
def test_what_gives_no_object(tmp_path, array, message):
    with pytest.raises(InvalidValue, match=message):
        as_objects(stored(tmp_path, array), setting="full")


def test_a_full_scale_that_is_set(tmp_path):
    """Also one that makes dark objects: who sets it knows it."""
    objects, sentence = as_objects(stored(tmp_path, (RAMP * 4095).astype("u2")), 65535, "data.source.full_scale")
    assert sentence.endswith("full scale 65535, as data.source.full_scale says")
    assert objects[:].max().item() == pytest.approx(4095 / 65535)
    objects, _ = as_objects(stored(tmp_path, (RAMP * 20).astype("u1")), 20)
    assert objects[:].max().item() == 1


def test_a_later_image_above_the_full_scale_is_named(tmp_path):
    images = np.zeros((200, 8, 8), np.uint16)
    images[:, 0, 0] = 4000
    images[100, 2, 2] = 5000
    objects, sentence = as_objects(stored(tmp_path, images), setting="data.source.full_scale")
    assert "12-bit" in sentence  # the sample misses image 100
    assert objects[99].max() < 1
    message = r"a.npy\[100\]: values 0..5000, but the full scale of this set is 4095. Set data.source.full_scale to"
    with pytest.raises(InvalidValue, match=message):
        objects[[5, 100]]


def test_a_later_image_that_is_no_mask_is_named(tmp_path):
    images = np.zeros((200, 8, 8), np.uint8)
    images[:, 0, 0] = 1
    images[100, 2, 2] = 255
    objects, _ = as_objects(stored(tmp_path, images))
    with pytest.raises(InvalidValue, match=r"a.npy\[100\]: values 0..255, but the full scale of this set is 1"):
        objects[100]


@pytest.mark.parametrize("value", [np.nan, -0.5, np.inf])
def test_a_later_image_of_no_object_is_named(tmp_path, value):
    images = np.full((200, 8, 8), 0.5)
    images[100, 2, 2] = value
    objects, _ = as_objects(stored(tmp_path, images))
    with pytest.raises(InvalidValue, match=r"a.npy\[100\](: values -0.5..0.5, but| holds NaN or infinite values)"):
        objects[100]


def test_the_sample_is_spread_and_small(tmp_path, monkeypatch):
    frames = stored(tmp_path, np.arange(1000, dtype=np.float32)[:, None, None] * np.ones((1, 8, 8), np.float32))
    read = []
    real = type(frames).read
    monkeypatch.setattr(type(frames), "read", lambda self, rows: read.extend(rows) or real(self, rows))
    levels = describe_levels(frames)
    assert (levels.low, levels.high, levels.whole, levels.kind) == (0, 999, True, "float32")
    assert len(read) == 64
    assert (read[0], read[-1]) == (0, 999)


def test_pictures_of_a_folder(tmp_path):
    for k in range(3):
        Image.fromarray(RAMP[0] > 0.1 * k).save(tmp_path / f"{k}.png")
    objects, sentence = as_objects(open_folder(tmp_path))
    assert sentence.startswith(f"{tmp_path / '0.png'}: values 0..1 in 1 bit: masks of 0 and 1")
    assert np.array_equal(objects[2], (RAMP[0] > 0.2) * 255)
