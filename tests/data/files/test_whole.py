import io
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from spt.data.files import read_array, read_arrays
from spt.errors import InvalidValue, MissingName

UNREADABLE = "cannot be read as .npz: truncated, or another format"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "frames.npz"


def test_named_arrays_come_back_as_they_were(path):
    a, b = np.arange(6, dtype=np.uint8).reshape(2, 3), np.array([0.5, -1.0])
    np.savez_compressed(path, a=a, b=b, c=np.zeros(3))
    arrays = read_arrays(path, ["b", "a"])
    assert list(arrays) == ["b", "a"]
    assert arrays["a"].dtype == np.uint8
    assert np.array_equal(arrays["a"], a)
    assert np.array_equal(arrays["b"], b)


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=f"{path} is not there"):
        read_arrays(path, ["a"])


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="is a folder, and one file is needed here"):
        read_arrays(tmp_path, ["a"])


def test_a_missing_array_lists_those_there(path):
    np.savez(path, speckle=np.zeros(2), digit=np.zeros(2))
    with pytest.raises(KeyError, match=r"frames.npz holds no array 'object28', only \['digit', 'speckle'\]"):
        read_arrays(path, ["speckle", "object28"])


@pytest.mark.parametrize("keep", [1, 60, 0.5, 0.99])
@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_a_truncated_file_is_named(path, keep, writer):
    writer(path, a=np.random.default_rng(0).integers(0, 255, 5000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=f"{path} {UNREADABLE}"):
        read_arrays(path, ["a"])


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("length", [1, 16])
def test_a_damaged_file_is_named_or_reads_as_it_was(path, writer, length):
    """Wherever the damage lies (archive entry, compressed stream, array header, data), and never wrong numbers."""
    a = np.arange(60)
    writer(path, a=a)
    whole = path.read_bytes()
    places = range(0, len(whole) - length, 7)
    refused = 0
    for at in places:
        for byte in (b"\xa5", b"("):
            path.write_bytes(whole[:at] + byte * length + whole[at + length :])
            try:
                read = read_arrays(path, ["a"])["a"]
            except (ValueError, KeyError) as error:  # KeyError: the damage hit the name
                message, refused = str(error), refused + 1
                assert UNREADABLE in message or "holds no array" in message
            else:
                assert np.array_equal(read, a)
    assert refused > len(places)


@pytest.mark.parametrize("header", ["{'descr': (", "1 +", "{'shape': 3}", "    x\n  y"])
def test_a_broken_array_header_is_named(path, header):
    text = header.encode().ljust(63) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(ValueError, match=f"{path} {UNREADABLE}"):
        read_arrays(path, ["a"])


def test_a_text_file_is_refused(path):
    path.write_text("speckle,target\n1,2\n")
    with pytest.raises(ValueError, match=f"{path} {UNREADABLE}"):
        read_arrays(path, ["a"])


def test_a_single_array_is_refused(path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=UNREADABLE):
        read_arrays(path, ["a"])


class Trap:
    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


def test_python_objects_are_refused_unread(path):
    np.savez(path, a=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=f"{path} {UNREADABLE}.*allow_pickle=False"):
        read_arrays(path, ["a"])


# One array of any format


@pytest.mark.parametrize(
    "values", [np.arange(12).reshape(3, 4), np.ones((3, 4), ">c8") * 2j, np.arange(3)[:, None] > 1]
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.mat", "b.mat"])
def test_arrays_of_any_kind_come_back_as_they_were(tmp_path, name, values):
    file = tmp_path / name
    if name == "a.npy":
        np.save(file, values)
    elif name == "a.npz":
        np.savez(file, x=values)
    elif name == "a.mat":
        scipy.io.savemat(file, {"x": values})
    else:
        with h5py.File(file, "w") as h5:
            h5["x"] = values if name == "a.h5" else values.transpose()
            if name == "b.mat":
                h5["x"].attrs["MATLAB_class"] = np.bytes_(b"double")
    read = read_array(file, None if name == "a.npy" else "x")
    assert read.dtype.isnative
    assert np.array_equal(read, values)


def test_complex_numbers_of_matlab(tmp_path):
    values = np.arange(6).reshape(2, 3) * (1 + 2j)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        parts = np.zeros((3, 2), [("real", "f8"), ("imag", "f8")])
        parts["real"], parts["imag"] = values.real.T, values.imag.T
        file["x"] = parts
        file["x"].attrs["MATLAB_class"] = np.bytes_(b"double")
    assert np.array_equal(read_array(tmp_path / "a.mat", "x"), values)


def test_which_array_is_needed(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InvalidValue, match=r"a.npz: name an array after a colon"):
        read_array(tmp_path / "a.npz")
    with pytest.raises(InvalidValue, match=r"a.csv has no known ending"):
        read_array(tmp_path / "a.csv", "x")
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(3)})
    with pytest.raises(MissingName, match=r"a.mat holds no array 'y', only \['x'\]"):
        read_array(tmp_path / "a.mat", "y")
