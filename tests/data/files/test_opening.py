"""Every format, written by the ecosystem's own library, reads back exactly; only what is asked for is read."""

import logging
import multiprocessing
import os
import pickle
import re
import threading

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import torch
from PIL import Image

from spt.data.files import FileSettings, Joined, Selected, keys_of, open_folder, open_frames, open_picture
from spt.errors import InvalidValue, MissingFile, MissingName

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (7, 40, 48)).astype(np.uint8)
WORDS = RNG.integers(0, 65536, (7, 40, 48)).astype(np.uint16)
ROWS = [3, 1, 1, 6]


def npz(path, **arrays):
    np.savez(path, **arrays)


def packed_npz(path, **arrays):
    np.savez_compressed(path, **arrays)


def hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"group/{name}"] = array


def chunked_hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(f"group/{name}", data=array, chunks=(4, *array.shape[1:]), compression="gzip")


def matlab5(path, **arrays):
    scipy.io.savemat(path, {name: array.transpose(1, 2, 0) for name, array in arrays.items()}, do_compression=True)


def matlab73(path, **arrays):
    """As MATLAB writes it: 512 bytes of text first, the axes reversed, the class as an attribute."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.transpose(1, 2, 0).transpose()
            file[name].attrs["MATLAB_class"] = np.bytes_(b"uint16")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


CONTAINERS = [
    (npz, "a.npz"),
    (packed_npz, "a.npz"),
    (hdf5, "a.h5"),
    (chunked_hdf5, "a.hdf5"),
    (matlab5, "a.mat"),
    (matlab73, "a.mat"),
]


def check(frames, expected):
    """Equal now, after a pickle, for repeated and unsorted rows, for none; without a word of the pixels kept."""
    assert frames.shape == expected.shape
    again = pickle.loads(pickle.dumps(frames))
    for some in (frames, again):
        assert some[0].dtype == some.dtype
        assert np.array_equal(some[ROWS], expected[ROWS])
        assert np.array_equal(some[:], expected)
        assert np.array_equal(some[-1], expected[-1])
        assert some[[]].shape == (0, *expected.shape[1:])


@pytest.mark.parametrize(("write", "name"), CONTAINERS, ids=[write.__name__ for write, _ in CONTAINERS])
def test_a_file_of_several_arrays(tmp_path, write, name):
    write(tmp_path / name, x=WORDS, y=WORDS[:, ::-1])
    key = "group/y" if "hdf5" in write.__name__ else "y"
    frames = open_frames(tmp_path / name, key)
    check(frames, WORDS[:, ::-1])
    assert frames.dtype == torch.uint16
    assert frames.name(3) == f"{tmp_path / name}:{key}[3]"
    assert list(keys_of(tmp_path / name)) == [key.replace("y", "x"), key]
    with pytest.raises(InvalidValue, match=re.escape(f"{name} holds several arrays: {key.replace('y', 'x')} (")):
        open_frames(tmp_path / name)
    with pytest.raises(MissingName, match=f"{name} holds no array 'z', only .*{key} "):
        open_frames(tmp_path / name, "z")


@pytest.mark.parametrize(("write", "name"), CONTAINERS, ids=[write.__name__ for write, _ in CONTAINERS])
def test_the_only_array_needs_no_name(tmp_path, write, name):
    write(tmp_path / name, x=WORDS)
    check(open_frames(tmp_path / name), WORDS)


def test_labels_beside_the_images_do_not_make_them_ambiguous(tmp_path):
    np.savez(tmp_path / "a.npz", speckle=BYTES, digit=np.arange(7))
    check(open_frames(tmp_path / "a.npz"), BYTES)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4"])
def test_types_and_byte_orders_of_arrays(tmp_path, kind, order):
    array = (WORDS.astype(float) / 3 - 100).astype(order + kind)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    hdf5(tmp_path / "a.h5", x=array)
    array.tofile(tmp_path / "a.raw")
    raw = FileSettings(dtype=order + kind, shape=[40, 48])
    for frames in [
        *(open_frames(tmp_path / f"a.{suffix}") for suffix in ("npy", "npz", "h5")),
        open_frames(tmp_path / "a.raw", None, raw),
    ]:
        check(frames, array)
        assert str(frames.dtype) == f"torch.{np.dtype(kind).name}"


@pytest.mark.parametrize(
    ("kind", "read"),
    [("f8", torch.float32), ("f2", torch.float32), ("i8", torch.int32), ("u4", torch.int32), ("?", torch.bool)],
)
def test_types_that_become_narrower(tmp_path, kind, read):
    array = (BYTES > 100) if kind == "?" else BYTES.astype(kind)
    np.save(tmp_path / "a.npy", array)
    frames = open_frames(tmp_path / "a.npy")
    assert frames.dtype == read
    check(frames, array)


@pytest.mark.parametrize("value", [2**31, -(2**40)])
def test_integers_that_do_not_fit_are_refused(tmp_path, value):
    array = BYTES.astype(np.int64)
    array[2, 3, 3] = value
    np.save(tmp_path / "a.npy", array)
    frames = open_frames(tmp_path / "a.npy")
    assert np.array_equal(frames[0], array[0])
    with pytest.raises(InvalidValue, match=rf"a.npy holds {abs(value)}, and whole numbers below 2\*\*31 are read"):
        frames[2]


def test_the_first_axis_may_run_fastest(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(WORDS))
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(WORDS))
    check(open_frames(tmp_path / "a.npy"), WORDS)
    check(open_frames(tmp_path / "a.npz"), WORDS)


def test_raw_pixels_behind_a_header(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"header!" + WORDS.tobytes())
    settings = FileSettings(dtype="u2", shape=(40, 48), offset=7)
    check(open_frames(tmp_path / "a.bin", None, settings), WORDS)
    (tmp_path / "a.dat").write_bytes(WORDS.transpose(0, 2, 1).tobytes())
    check(open_frames(tmp_path / "a.dat", None, FileSettings(dtype="u2", shape=(40, 48), order="F")), WORDS)


def test_raw_pixels_without_a_description(tmp_path):
    WORDS.tofile(tmp_path / "a.raw")
    with pytest.raises(InvalidValue, match=r"a.raw holds pixels without a description. Set data.source.dtype \(u1"):
        open_frames(tmp_path / "a.raw", None, FileSettings(prefix="data.source."))
    with pytest.raises(InvalidValue, match=r"which are not a whole number of images of 41x48 px and 2 bytes a pixel"):
        open_frames(tmp_path / "a.raw", None, FileSettings(dtype="u2", shape=(41, 48)))


class Trap:
    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["train.dat", "train.pkl", "train.bin"])
def test_pickles_are_never_opened(tmp_path, name, protocol):
    (tmp_path / name).write_bytes(pickle.dumps({"data": Trap(), "more": [1]}, protocol))
    with pytest.raises(
        InvalidValue, match=rf"{name} is a Python pickle. spt never opens pickles.*pickle.load.*numpy.save"
    ):
        open_frames(tmp_path / name, None, FileSettings(dtype="u1", shape=(1, 1)))


def test_arrays_of_python_objects_are_never_opened(tmp_path):
    array = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=array)
    for path, key in (("a.npy", None), ("a.npz", "x")):
        with pytest.raises(
            InvalidValue, match=rf"{path}.* holds Python objects \(a pickle\). spt never .*allow_pickle=True"
        ):
            open_frames(tmp_path / path, key)


def test_complex_numbers_are_refused_with_the_remedy(tmp_path):
    field = WORDS + 1j
    np.save(tmp_path / "a.npy", field)
    scipy.io.savemat(tmp_path / "a.mat", {"x": field})
    hdf5(tmp_path / "a.h5", x=field)
    with h5py.File(tmp_path / "b.mat", "w") as file:
        pairs = np.zeros(WORDS.shape, [("real", "f8"), ("imag", "f8")])
        file["x"] = pairs
        file["x"].attrs["MATLAB_class"] = np.bytes_(b"double")
    for name in ("a.npy", "a.mat", "a.h5", "b.mat"):
        with pytest.raises(InvalidValue, match=rf"{name}.* holds complex numbers.*abs\(x\)\*\*2"):
            open_frames(tmp_path / name, None, FileSettings(axes="nhw"))[0]


@pytest.mark.parametrize("content", [np.array(["text"] * 3)[:, None], np.zeros((0, 8, 8)), np.zeros((3, 2), "M8[s]")])
def test_what_holds_no_images(tmp_path, content):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(InvalidValue, match=r"a.npy (is empty|holds .*, and an image has numbers)"):
        open_frames(tmp_path / "a.npy")


def test_what_is_no_array_in_matlab_files(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"s": {"x": 1}, "t": "text", "x": BYTES[0]})
    assert keys_of(tmp_path / "a.mat") == {"x": (40, 48)}
    assert np.array_equal(open_frames(tmp_path / "a.mat")[0], BYTES[0])
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["#refs#/a"], file["t"] = BYTES, BYTES
        file["t"].attrs["MATLAB_class"] = np.bytes_(b"cell")
    with pytest.raises(InvalidValue, match=r"b.mat holds no images, only nothing"):
        open_frames(tmp_path / "b.mat")


def test_numbers_of_matlab_keep_their_class(tmp_path):
    """MATLAB and scipy store whole doubles as small integers."""
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.full((40, 48), 3.0), "m": BYTES[0] > 9})
    assert open_frames(tmp_path / "a.mat", "x").dtype == torch.float32
    mask = open_frames(tmp_path / "a.mat", "m")
    assert mask.dtype == torch.bool
    assert np.array_equal(mask[0], BYTES[0] > 9)


@pytest.mark.parametrize("version", ["4", "5"])
def test_older_matlab_files(tmp_path, version):
    scipy.io.savemat(tmp_path / "a.mat", {"x": BYTES[0].astype(float)}, format=version)
    assert np.array_equal(open_frames(tmp_path / "a.mat")[0], BYTES[0])


def test_a_group_is_no_array(tmp_path):
    hdf5(tmp_path / "a.h5", x=BYTES)
    with pytest.raises(MissingName, match=r"holds no array 'group', only group/x \(7, 40, 48\)"):
        open_frames(tmp_path / "a.h5", "group")


def test_a_key_for_a_file_of_one_array(tmp_path):
    np.save(tmp_path / "a.npy", BYTES)
    with pytest.raises(InvalidValue, match=r"a.npy holds one array without a name"):
        open_frames(tmp_path / "a.npy", "x")


def test_an_unknown_ending(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"words")
    with pytest.raises(
        InvalidValue, match=r"a.docx has no known ending. .png, .bmp.*, and .bin, .raw, .dat with dtype"
    ):
        open_frames(tmp_path / "a.docx")


# Folders


def test_a_folder_in_natural_order_without_hidden_files(tmp_path):
    for k in (0, 1, 2, 10, 11):
        Image.fromarray(np.full((8, 9), k, np.uint8)).save(tmp_path / f"im{k}.png")
    for name in (".DS_Store", "._im0.png", "Thumbs.db", "notes.txt"):
        (tmp_path / name).write_bytes(b"no image")
    frames = open_folder(tmp_path)
    assert frames[:][:, 0, 0].tolist() == [0, 1, 2, 10, 11]
    assert frames.name(3) == str(tmp_path / "im10.png")
    assert open_folder(tmp_path, limit=3)[:][:, 0, 0].tolist() == [0, 2, 11]


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".tif", ".h5"])
def test_a_folder_of_one_array_a_file(tmp_path, suffix):
    for k, image in enumerate(WORDS):
        path = tmp_path / f"{k}{suffix}"
        if suffix == ".npy":
            np.save(path, image)
        elif suffix == ".mat":
            scipy.io.savemat(path, {"data": image})
        elif suffix == ".tif":
            tifffile.imwrite(path, image)
        else:
            hdf5(path, data=image)
    check(open_folder(tmp_path), WORDS)


def test_files_of_different_length_are_joined(tmp_path):
    np.save(tmp_path / "1.npy", WORDS[:2])
    np.save(tmp_path / "2.npy", WORDS[2:3])
    np.save(tmp_path / "10.npy", WORDS[3:])
    frames = open_folder(tmp_path)
    check(frames, WORDS)
    assert frames.name(2) == f"{tmp_path / '2.npy'}[0]"
    assert frames.name(6) == f"{tmp_path / '10.npy'}[3]"
    check(Joined([Selected(frames, range(3)), Selected(frames, range(3, 7))]), WORDS)


def test_raw_files_of_a_folder_are_images_once_they_are_described(tmp_path):
    for k in (0, 1):
        WORDS[k].tofile(tmp_path / f"{k}.raw")
    with pytest.raises(MissingFile, match=r"holds no .png"):
        open_folder(tmp_path)
    frames = open_folder(tmp_path, FileSettings(dtype="u2", shape=(40, 48)))
    assert np.array_equal(frames[:], WORDS[:2])


def test_pictures_of_different_sizes_or_types(tmp_path):
    Image.fromarray(BYTES[0]).save(tmp_path / "1.png")
    Image.fromarray(BYTES[0][:30]).save(tmp_path / "2.png")
    with pytest.raises(InvalidValue, match=r"2.png: images of 30x48 px \(torch.uint8\), but .*1.png has 40x48"):
        open_folder(tmp_path)
    Image.fromarray(WORDS[0]).save(tmp_path / "2.png")
    with pytest.raises(InvalidValue, match=r"2.png: images of 40x48 px \(torch.uint16\), but .*1.png has"):
        open_folder(tmp_path)


def test_a_folder_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(MissingFile, match="none is not a folder"):
        open_folder(tmp_path / "none")
    with pytest.raises(MissingFile, match=r"holds no .png, .bmp"):
        open_folder(tmp_path)


def test_thousands_of_pictures_open_by_their_headers(tmp_path, monkeypatch):
    Image.fromarray(BYTES[0]).save(tmp_path / "0.png")
    for k in range(1, 2000):
        os.link(tmp_path / "0.png", tmp_path / f"{k}.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("the pixels were read"))
    assert open_folder(tmp_path).shape == (2000, 40, 48)


def test_more_files_than_a_process_may_open(tmp_path):
    resource = pytest.importorskip("resource")
    for k in range(120):
        hdf5(tmp_path / f"{k}.h5", x=BYTES[0] // 2 + k % 3)
        np.save(tmp_path / f"{k}.npy", BYTES[0] // 2 + k % 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        frames = open_folder(tmp_path)
        assert frames[:][:, 0, 0].tolist() == [int(BYTES[0, 0, 0]) // 2 + k // 2 % 3 for k in range(240)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_set_larger_than_the_memory(tmp_path):
    """A sparse file of 4 TiB."""
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (2**20, 1024, 1024))[-1] = 3
    frames = open_frames(path)
    assert frames[[0, -1]][:, 5, 5].tolist() == [0, 3]


def test_a_data_set_larger_than_the_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2**22, 1024, 1024), "f4", chunks=(1, 1024, 1024))[7] = 5
    assert open_frames(tmp_path / "a.h5")[[7, 2**22 - 1]][:, 0, 0].tolist() == [5, 0]


# Other processes and threads


def read_some(frames, queue):
    queue.put([frames[ROWS].double().sum().item(), os.getpid()])


def everything(folder):
    """Frames of each format, that were read once in this process."""
    np.save(folder / "a.npy", WORDS)
    packed_npz(folder / "a.npz", x=WORDS)
    chunked_hdf5(folder / "a.h5", x=WORDS)
    matlab5(folder / "a.mat", x=WORDS)
    tifffile.imwrite(folder / "a.tif", WORDS, photometric="minisblack", compression="zlib")
    pages = [Image.fromarray(page) for page in WORDS]
    pages[0].save(folder / "b.tif", save_all=True, append_images=pages[1:], compression="packbits")
    (folder / "png").mkdir()
    for k, page in enumerate(pages):
        page.save(folder / "png" / f"{k}.png")
    opened = [open_frames(folder / name) for name in ("a.npy", "a.npz", "a.h5", "a.mat", "a.tif", "b.tif")]
    opened.append(open_folder(folder / "png"))
    for frames in opened:
        check(frames, WORDS)
    return opened


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_opens_the_files_itself(tmp_path, method):
    context = multiprocessing.get_context(method)
    opened = everything(tmp_path)
    joined = Joined([Selected(frames, range(7)) for frames in opened])
    queue = context.SimpleQueue()
    children = [context.Process(target=read_some, args=(joined, queue)) for _ in range(1 if method == "spawn" else 2)]
    for child in children:
        child.start()
    for frames in opened:  # at the same time, with the handles from before the fork
        check(frames, WORDS)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
        total, process = queue.get()
        assert total == WORDS[ROWS].astype(float).sum()
        assert process != os.getpid()


def test_threads_read_side_by_side(tmp_path):
    opened, wrong = everything(tmp_path), []

    def read():
        for _ in range(5):
            wrong.extend(frames.name(0) for frames in opened if not np.array_equal(frames[ROWS], WORDS[ROWS]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_that_is_written_again_is_read_again(tmp_path):
    for k, value in enumerate((3, 4)):
        for name, write in (("a.npz", packed_npz), ("a.h5", hdf5)):
            write(tmp_path / f"new-{name}", x=np.full((2, 8, 8), value))
            os.replace(tmp_path / f"new-{name}", tmp_path / name)
            os.utime(tmp_path / name, ns=(k, k))
            assert open_frames(tmp_path / name)[0].unique().tolist() == [value]


# Words for the log


def test_conclusions_about_matlab_are_said_once(tmp_path, caplog):
    for k in (1, 2):
        scipy.io.savemat(tmp_path / f"{k}.mat", {"x": RNG.random((16, 16, 30))})
    with caplog.at_level(logging.INFO):
        open_folder(tmp_path)
        open_frames(tmp_path / "2.mat")
    assert [record.getMessage().removeprefix(str(tmp_path)) for record in caplog.records] == [
        f"/{k}.mat:x: shape (16, 16, 30) is read as 30 images of 16x16 px (axes=hwn), because these images are square."
        for k in (1, 2)
    ]


def test_a_picture_whose_bytes_are_at_hand(tmp_path):
    for name, options in (("a.png", {}), ("a.tif", {}), ("b.tif", {"compression": "packbits"})):
        Image.fromarray(WORDS[0]).save(tmp_path / name, **options)
        frames = open_picture(f"in.zip/{name}", (tmp_path / name).read_bytes())
        assert frames.name(0).startswith(f"in.zip/{name}")
        assert np.array_equal(frames[0], WORDS[0])
