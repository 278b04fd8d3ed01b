"""Images from every kind of file, and what is said of those that cannot be read."""

import gzip
import zipfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from spt.data.objects.image_files import decode, find_white, list_images, read_plain
from spt.errors import InvalidValue

RAMP = np.arange(20, dtype=np.uint8).reshape(4, 5) * 10


def idx(array, kind=8):
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def images(path, *keys):
    return decoded(list_images(path, *keys))


def decoded(items):
    white, _ = find_white(items, "these images")
    return [decode(item, white) for item in items]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_pictures_of_8_bit(tmp_path, suffix):
    Image.fromarray(RAMP).save(tmp_path / f"a{suffix}", quality=100)
    (image,) = images(tmp_path)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, RAMP / 255, atol=3 / 255 if suffix == ".jpg" else 1e-7)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures_of_16_bit(tmp_path, suffix):
    Image.fromarray(RAMP.astype(np.uint16) * 321).save(tmp_path / f"a{suffix}")
    (image,) = images(tmp_path)
    np.testing.assert_allclose(image, RAMP.astype(float) * 321 / 65535, atol=1e-7)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA"])
def test_pictures_of_other_modes_become_grey(tmp_path, mode):
    black_and_white = np.where(RAMP > 90, np.uint8(255), np.uint8(0))
    Image.fromarray(black_and_white).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_allclose(images(tmp_path)[0], black_and_white / 255, atol=1e-7)


def test_colours_weigh_as_the_eye_sees_them(tmp_path):
    Image.new("RGB", (3, 3), (0, 255, 0)).save(tmp_path / "a.png")
    assert images(tmp_path)[0][0, 0] == pytest.approx(0.587, abs=0.003)  # Rec. 601


def test_sub_folders_are_classes_and_the_order_is_that_of_the_names(tmp_path):
    for name in ("top/b/2.png", "top/a/x/1.png", "top/a/x/._1.png", "top/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RAMP).save(tmp_path / name, format="png")
    found = list_images(tmp_path)
    assert [(item.name.removeprefix(f"{tmp_path}/"), item.label) for item in found] == [
        ("top/a/x/1.png", "a"),
        ("top/b/2.png", "b"),
    ]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("top/b/2.png", "top/a/x/1.png"):
            archive.write(tmp_path / name, name)
    zipped = list_images(tmp_path / "all.zip")
    assert [item.label for item in zipped] == ["a", "b"]
    assert np.array_equal(decoded(zipped)[0], decoded(found)[0])


def test_pictures_without_sub_folders_have_no_class(tmp_path):
    for name in "ab":
        Image.fromarray(RAMP).save(tmp_path / f"{name}.png")
    assert [item.label for item in list_images(tmp_path)] == ["", ""]


@pytest.mark.parametrize("last", [(), (1,)])
def test_npz_with_labels(tmp_path, last):
    pixels = np.stack([RAMP, RAMP[::-1], 2 * RAMP // 3]).repeat(3, 1).repeat(3, 2)
    np.savez(tmp_path / "a.npz", x=pixels.reshape(*pixels.shape, *last), y=np.array([3, 1, 3]))
    found = list_images(tmp_path / "a.npz", "x", "y")
    assert [item.label for item in found] == ["3", "1", "3"]
    np.testing.assert_allclose(np.stack(decoded(found)), pixels / 255, atol=1e-7)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_with_labels(tmp_path, packed):
    """As MNIST is distributed: the header by hand, sizes big-endian."""
    pixels = np.stack([RAMP, RAMP[::-1]])
    assert idx(pixels)[:16] == b"\0\0\x08\x03\0\0\0\x02\0\0\0\x04\0\0\0\x05"
    end = ".gz" if packed else ""
    for name, array in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", np.array([7, 9], np.uint8))):
        (tmp_path / f"{name}{end}").write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = list_images(tmp_path / f"images-idx3-ubyte{end}", labels=f"labels-idx1-ubyte{end}")
    assert [item.label for item in found] == ["7", "9"]
    np.testing.assert_allclose(np.stack(decoded(found)), pixels / 255, atol=1e-7)


def test_wider_idx_types_are_big_endian(tmp_path):
    (tmp_path / "a").write_bytes(idx(np.array([[1, 258]], np.int32), 12))
    assert read_plain(tmp_path / "a").tolist() == [[1, 258]]


@pytest.mark.parametrize(("kind", "top"), [(np.uint16, 65535), (bool, 1), (np.float64, 1)])
def test_arrays_of_other_types(tmp_path, kind, top):
    pixels = (RAMP > 90)[None] * top
    np.save(tmp_path / "a.npy", pixels.astype(kind))
    np.testing.assert_array_equal(images(tmp_path / "a.npy")[0], RAMP > 90)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_floats_outside_0_to_1_are_refused_by_name(tmp_path, value):
    np.save(tmp_path / "a.npy", np.array([[[0.5] * 8] * 8, [[value] * 8] * 8]))
    said = ": values .* but the full scale of this set is 1" if np.isfinite(value) else " holds NaN or infinite values"
    with pytest.raises(InvalidValue, match=rf"a.npy\[1\]{said}"):
        decode(list_images(tmp_path / "a.npy")[1], 1)


def test_what_is_not_there(tmp_path):
    for path in ("nothing.npz", "nothing.zip", "nothing"):
        with pytest.raises(FileNotFoundError, match=f"{path} is not there"):
            list_images(tmp_path / path)
    np.save(tmp_path / "a.npy", RAMP[None])
    with pytest.raises(FileNotFoundError, match="labels-idx1 is not there"):
        list_images(tmp_path / "a.npy", labels="labels-idx1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"PK\3\4broken", "a.zip cannot be read as .zip"),
        ("a.npz", b"PK\3\4broken", "a.npz cannot be read as .npz"),
        ("a.npy", b"\x93NUMPYbroken", "a.npy cannot be read as .npy"),
        ("a.gz", b"\x1f\x8bbroken", "a.gz cannot be read as images or labels"),
        ("a-idx", idx(RAMP[None])[:-1], "a-idx cannot be read as images or labels"),
        ("a.txt", b"some words", "no .npy and no idx file"),
        ("a-flat", idx(RAMP), r"expected images of shape \(n, h, w\)"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_images(tmp_path / name, "x" if name == "a.npz" else None)


def test_a_damaged_picture_is_named(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:-30])
    with pytest.raises(ValueError, match=r"a.png cannot be read as a picture"):
        images(tmp_path)


def test_a_picture_of_several_pages_is_refused(tmp_path):
    pages = [Image.fromarray(RAMP)] * 3
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"a.tif holds 3 pages; store one object a file"):
        images(tmp_path)


CAMERA = (
    "values 0..4095 in 16 bit: 12-bit camera, full scale 4095; set data.source.objects.white=65535 if that is wrong"
)
MASK = "values 0..1 in 8 bit: masks of 0 and 1; set data.source.objects.white=255 if that is wrong"


@pytest.mark.parametrize(
    ("name", "levels", "said"), [("a.png", 4095, CAMERA), ("a.tif", 4095, CAMERA), ("a.bmp", 1, MASK)]
)
def test_a_small_part_of_the_range_is_found(tmp_path, name, levels, said):
    """12 bit in files of 16, a mask of 0 and 1 in bytes: almost black by the range of the type."""
    kind = np.uint8 if levels == 1 else np.uint16
    pixels = np.where(RAMP > 90, levels, 0).astype(kind)
    Image.fromarray(pixels).save(tmp_path / name)
    assert find_white(list_images(tmp_path), "a")[1] == said
    np.testing.assert_array_equal(images(tmp_path)[0], RAMP > 90)


def test_levels_above_white_are_refused(tmp_path):
    """32 bits never wrap round."""
    Image.fromarray(np.array([[0, 70_000]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(
        InvalidValue, match=r"these images: values 0..70000 in int32, and which value is white cannot be"
    ):
        images(tmp_path)
    with pytest.raises(InvalidValue, match=r"a.tif: values 0..70000, but the full scale of this set is 65535"):
        decode(list_images(tmp_path)[0], 65535)
    np.testing.assert_array_equal(decode(list_images(tmp_path)[0], 70_000), [[0, 1]])


def test_a_black_picture_stays_black(tmp_path):
    Image.fromarray(0 * RAMP).save(tmp_path / "a.png")
    Image.fromarray(RAMP).save(tmp_path / "b.png")
    assert images(tmp_path)[0].max() == 0


def test_other_byte_orders_are_read(tmp_path):
    np.save(tmp_path / "a.npy", (RAMP[None].astype(int) * 321).astype(">u2"))
    np.testing.assert_allclose(images(tmp_path / "a.npy")[0], RAMP.astype(float) * 321 / 65535, atol=1e-7)


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(ValueError, match="holds no pictures"):
        list_images(tmp_path)


def test_labels_of_another_number(tmp_path):
    np.savez(tmp_path / "a.npz", x=RAMP[None], y=np.array([3, 1]))
    with pytest.raises(ValueError, match=r"1 images, but labels of shape \(2,\)"):
        list_images(tmp_path / "a.npz", "x", "y")


def test_an_npz_of_several_arrays_needs_the_name_of_its_images(tmp_path):
    np.savez(tmp_path / "a.npz", x=RAMP[None], y=RAMP[None])
    with pytest.raises(InvalidValue, match=r"holds several arrays: x \(1, 4, 5\), y \(1, 4, 5\). Name one"):
        list_images(tmp_path / "a.npz")


def test_arrays_of_matlab_with_labels(tmp_path):
    pixels = np.stack([RAMP] * 9)
    scipy.io.savemat(tmp_path / "a.mat", {"x": pixels.transpose(1, 2, 0), "y": np.arange(9)[:, None]})
    found = list_images(tmp_path / "a.mat", "x", "y", "hwn")
    assert [item.label for item in found] == [str(k) for k in range(9)]
    np.testing.assert_allclose(np.stack(decoded(found)), pixels / 255, atol=1e-7)


def test_images_of_two_types(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(InvalidValue, match=r"b.png holds torch.uint16, and other images of this set torch.uint8"):
        images(tmp_path)
