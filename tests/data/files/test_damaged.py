"""Every way in which a file can be bad: one error that names it; no burst of memory, no hang."""

import os
import resource
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from spt.data.files import FileSettings, open_folder, open_frames, read_array, read_arrays, split_key
from spt.errors import InvalidValue, MissingFile, UserError

GREY = np.random.default_rng(0).integers(0, 256, (6, 40, 44)).astype(np.uint8)
RAW = FileSettings(dtype="u1", shape=(40, 44))


def write(path, array=GREY):
    """Write the images in the format that the name says."""
    suffix, first = path.suffix, Image.fromarray(array[0])
    pages = {"save_all": True, "append_images": list(map(Image.fromarray, array[1:]))}
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        (np.savez_compressed if "packed" in path.name else np.savez)(path, x=array)
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["x"] = array
    elif suffix == ".mat" and "73" in path.name:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["x"] = array.transpose()
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    elif suffix == ".mat":
        scipy.io.savemat(path, {"x": array}, do_compression="packed" in path.name)
    elif suffix == ".raw":
        array.tofile(path)
    elif path.name == "mapped.tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    elif path.name == "zlib.tif":
        tifffile.imwrite(path, array, photometric="minisblack", compression="zlib", bigtiff=True)
    elif suffix == ".tif":
        first.save(path, compression="packbits", **pages)
    else:
        first.save(path)
    return path


NAMES = [
    *("a.png", "a.bmp", "a.jpg", "a.jp2", "mapped.tif", "zlib.tif", "packbits.tif"),
    *("a.npy", "a.npz", "packed.npz", "a.h5", "a.mat", "packed.mat", "v73.mat", "a.raw"),
]


def opened(path):
    """Open and read everything."""
    settings = RAW if path.suffix == ".raw" else FileSettings(axes="nhw") if path.suffix == ".mat" else FileSettings()
    return open_frames(path, None, settings)[:]


def refused(path, message, error=InvalidValue):
    """Reading ends in an error that names the file, soon, and without much memory."""
    tracemalloc.start()
    before = time.perf_counter()
    try:
        with pytest.raises(error, match=message) as caught:
            opened(path)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - before < 10
    assert peak < 100 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_are_read(tmp_path, name):
    """What the tests below damage is fine before."""
    frames = opened(write(tmp_path / name))
    if name != "a.jpg":
        assert np.array_equal(frames, GREY if len(frames) > 1 else GREY[:1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated(tmp_path, name, share):
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path, "cannot be read as|not a whole number of images")


@pytest.mark.parametrize("name", NAMES)
def test_empty(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, r"is empty \(0 bytes\). Restore or leave out the file")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "a.raw"])
@pytest.mark.parametrize("content", [b"speckle,target\n1,2\n" * 40, b"\0" * 600, bytes(range(256)) * 4])
def test_another_format_under_the_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "cannot be read as")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_end_in_an_error_with_the_name_or_in_images(tmp_path, name, seed):
    """The pixels may differ then, for not every format has a check sum; never a traceback of a library."""
    path = write(tmp_path / name)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(0, min(len(content), 700 if seed % 2 else len(content)), 5):
        content[at : at + 4] = rng.bytes(4)
    path.write_bytes(content)
    said = ""
    try:
        assert opened(path).ndim == 3
    except UserError as error:
        said = str(error)
    assert said == "" or name in said


def test_hdf5_cut_in_the_middle(tmp_path):
    for name in ("a.h5", "v73.mat"):
        path = write(tmp_path / name)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        refused(path, rf"{name} cannot be read as HDF5: truncated, or another format \(.*truncated file")


def test_a_file_that_is_cut_after_it_was_opened(tmp_path):
    for name in ("a.npy", "a.png", "packed.npz", "packbits.tif"):
        frames = open_frames(write(tmp_path / name))
        os.truncate(tmp_path / name, 60)
        with pytest.raises(InvalidValue, match=f"{name}.* cannot be read as"):
            frames[0]


def test_a_header_of_another_shape(tmp_path):
    """The header says more, or nonsense."""
    path = write(tmp_path / "a.npy")
    whole = path.read_bytes()
    for shape in (b"(6, 99, 44)", b"(6, -1, 44)", b"(9**9,40,4)", b"(6, 40, 4.)"):
        path.write_bytes(whole.replace(b"(6, 40, 44)", shape))
        refused(path, "a.npy (cannot be read as .npy|is empty)")
    packed = write(tmp_path / "a.npz")
    packed.write_bytes(packed.read_bytes().replace(b"(6, 40, 44)", b"(6, 99, 44)"))
    refused(packed, "cannot be read as .npz")


@pytest.mark.parametrize("folder", ["with space", "散斑", "a=b,c", "~", "100%", "[x]", "'quoted'"])
def test_paths_of_every_kind(tmp_path, folder, monkeypatch):
    (tmp_path / folder).mkdir()
    for name in NAMES:
        write(tmp_path / folder / name)
        assert len(opened(tmp_path / folder / name)) in (1, 6)
    write(tmp_path / folder / f"{folder}.npy")
    file, key = split_key(f"{tmp_path}/{folder}/a.h5:x")
    assert np.array_equal(open_frames(file, key)[:], GREY)
    monkeypatch.chdir(tmp_path / folder)
    assert np.array_equal(open_frames(split_key(f"{folder}.npy")[0])[:], GREY)
    (tmp_path / folder / "a.png").write_bytes(b"words")
    refused(tmp_path / folder / "a.png", "cannot be read as a picture")


def test_links(tmp_path):
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.npy").symlink_to("nothing.npy")
    for name in ("a.png", "c.npy"):
        refused(tmp_path / name, f"{name} is a symbolic link that leads to no file", MissingFile)
    with pytest.raises(MissingFile, match=r"a.png is a symbolic link"):
        open_folder(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(MissingFile, match=r"loop is not a folder"):
        open_folder(tmp_path / "loop")
    refused(tmp_path / "loop" / "x.png", "x.png is not there. Check the path", MissingFile)


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "none.npy", "none.npy is not there. Check the path", MissingFile)
    refused(tmp_path / ("x" * 300 + ".npy"), "is not there. Check the path", MissingFile)
    (tmp_path / "a.npy").mkdir()
    refused(tmp_path / "a.npy", "a.npy is a folder, and one file is needed here", MissingFile)
    os.mkfifo(tmp_path / "a.png")
    refused(tmp_path / "a.png", "a.png is a device or a pipe, and a file is needed here")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    for name in NAMES:
        write(tmp_path / name).chmod(0)
        refused(tmp_path / name, f"{name} may not be read by this user. Change the file's permissions")


@pytest.mark.parametrize("name", NAMES)
def test_no_permission_as_the_system_says_it(tmp_path, name, monkeypatch):
    """The same for root, whom the system refuses nothing."""
    write(tmp_path / name)

    def forbidden(*args, **kwargs):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("pathlib.Path.stat", forbidden)
    with pytest.raises(InvalidValue, match=f"{name} may not be read by this user"):
        opened(tmp_path / name)


WRITER = """
import h5py, sys
files = [h5py.File(path, 'r+') for path in sys.argv[1:]]
print('open', flush=True)
sys.stdin.read()
"""


def test_hdf5_that_is_open_for_writing_elsewhere(tmp_path):
    paths = [write(tmp_path / "a.h5"), write(tmp_path / "v73.mat")]
    command = [sys.executable, "-c", WRITER, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        for path in paths:
            refused(path, f"{path.name} is open in another program, which may be writing it. Close it there")
        other.stdin.close()
    for path in paths:
        assert len(opened(path)) == 6


# Files that claim more than there is


def png(width, height):
    """A valid picture of one colour: 100,000 x 100,000 px are 10 GB in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_picture_that_claims_more_than_it_holds(tmp_path):
    (tmp_path / "a.png").write_bytes(png(100_000, 100_000))
    refused(tmp_path / "a.png", "decompression bomb|claims images of")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_that_claims_more_than_it_holds(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY[0], photometric="minisblack", compression=compression, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(60_000)
    refused(path, r"a.tif (claims images of 3,600,000,000 pixels|cannot be read as TIFF)")


def test_an_npz_that_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("spt.data.files.npz.BOUND", 2**20)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((64, 256, 256), np.uint8))
    refused(tmp_path / "a.npz", r"a.npz:x is 0.0 GiB that can only be unpacked whole, and up to 0 GiB are kept")


def test_an_npz_whose_header_claims_more_than_it_holds(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**10, 2**10, 2**10)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(2**10))
    refused(tmp_path / "a.npz", r"a.npz cannot be read as .npz: .*1073741824 bytes for shape .*, but 1024 there")


def test_a_data_set_that_fills_the_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (3, 2**20, 2**20), "f4", chunks=(1, 2**10, 2**10), compression="gzip")
        file.create_dataset("y", (64, 2**13, 2**13), "f8", chunks=(64, 2**12, 2**12), compression="gzip")
    with pytest.raises(
        InvalidValue, match=r"a.h5:x claims images of 1,099,511,627,776 pixels \(4096.0 GiB to read one"
    ):
        open_frames(tmp_path / "a.h5", "x")


def test_chunks_larger_than_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("spt.data.files.problems.memory", lambda: 2**20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (400, 64, 64), "u1", chunks=(400, 64, 64), compression="gzip")
    refused(tmp_path / "a.h5", r"a.h5:x claims images of 4,096 pixels \(0.0 GiB to read one\)")


def test_an_image_of_swapped_axes(tmp_path):
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (2**20, 2**11, 1))
    with pytest.raises(InvalidValue, match=r"a.npy claims images of 2,147,483,648 pixels"):
        open_frames(tmp_path / "a.npy", None, FileSettings(axes="hwn"))


def test_whole_arrays_larger_than_the_memory(tmp_path):
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (2**20, 2**20))
    with pytest.raises(InvalidValue, match=r"a.npy holds 1024.0 GiB, more than the memory of this machine"):
        read_array(tmp_path / "a.npy")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2**20, 2**20), "u1", chunks=(1, 2**10))
    with pytest.raises(InvalidValue, match=r"a.h5:x holds 1024.0 GiB, more than the memory of this machine"):
        read_array(tmp_path / "a.h5", "x")


def test_pages_in_a_circle(tmp_path):
    """The last header names the first as the next."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY[0], photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].offset
        end = start + 2 + 12 * len(file.pages[0].tags)
    with path.open("r+b") as file:
        file.seek(end)
        assert file.read(4) == bytes(4)
        file.seek(end)
        file.write(struct.pack("<I", start))
    refused(path, "a.tif cannot be read as TIFF: .*circular")


def test_nothing_of_a_large_file_is_read_to_open_it(tmp_path):
    """8 MiB each: opening takes less than 2 MiB."""
    large = np.random.default_rng(0).integers(0, 256, (32, 512, 512)).astype(np.uint8)
    for name in ("a.npy", "a.npz", "a.h5", "mapped.tif", "zlib.tif", "packed.npz", "packed.mat"):
        write(tmp_path / name, large)
        settings = FileSettings(axes="nhw") if name.endswith(".mat") else FileSettings()
        tracemalloc.start()
        assert open_frames(tmp_path / name, None, settings).shape == large.shape
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * 2**20, name


def test_a_missing_whole_array(tmp_path):
    write(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"holds no array 'y'"):
        read_arrays(tmp_path / "a.npz", ["y"])


def test_memory_stays_bounded_over_many_packed_files(tmp_path, monkeypatch):
    """Of 30 files of 1 MiB, a process that may keep 4 MiB keeps no more."""
    from spt.data.files.kept import Kept

    kept = Kept(4 * 2**20, lambda array: array.nbytes)
    monkeypatch.setattr("spt.data.files.npz.WHOLE", kept)
    for k in range(30):
        np.savez_compressed(tmp_path / f"{k}.npz", x=np.full((4, 512, 512), k, np.uint8))
    frames = open_folder(tmp_path)
    assert frames[:][::4, 0, 0].tolist() == list(range(30))
    assert sum(array.nbytes for array in kept.things.values()) <= 4 * 2**20
    assert len(kept.things) > 1


def test_resident_memory_of_a_pass_over_a_large_set(tmp_path):
    """A pass over 256 MiB, 8 images at a time, needs less than 64 MiB more than before."""
    large = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (1024, 512, 512))
    del large
    frames = open_frames(tmp_path / "a.npy")
    frames[:8]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(0, 1024, 8):
        frames[start : start + 8]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10
