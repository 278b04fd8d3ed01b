from pathlib import Path

import pytest

from spt.data.files import natural_key, split_key
from spt.data.files.names import is_hidden


def test_numbers_are_sorted_by_value():
    names = ["im10.png", "im2.png", "im002.png", "IM1.png", "a/2/b", "a/10/b", "b/1/b", "7", "x"]
    assert sorted(names, key=natural_key) == [
        "7", "a/2/b", "a/10/b", "b/1/b", "IM1.png", "im002.png", "im2.png", "im10.png", "x",
    ]  # fmt: skip


def test_digits_of_other_scripts_do_not_break_the_order():
    assert sorted(["x²", "x2", "散斑10", "散斑9"], key=natural_key) == ["x2", "x²", "散斑9", "散斑10"]


@pytest.mark.parametrize("name", [".DS_Store", "._x.tif", "Thumbs.db", "desktop.ini"])
def test_files_of_systems_are_hidden(name):
    assert is_hidden(name)
    assert not is_hidden("x.tif")


@pytest.mark.parametrize(
    ("text", "file", "key"),
    [
        ("x.mat:XTrain", "x.mat", "XTrain"),
        ("x.mat", "x.mat", None),
        ("a/b.h5:Training/Speckle_images/ImageNet", "a/b.h5", "Training/Speckle_images/ImageNet"),
        ("x.mat:", "x.mat", None),
        ("C:\\data\\x.mat:XTrain", "C:\\data\\x.mat", "XTrain"),
        ("C:\\data\\x.mat", "C:\\data\\x.mat", None),
        ("C:/data/x.tif", "C:/data/x.tif", None),
        ("12:30.png", "12:30.png", None),
        ("a=b c.npz:x=1", "a=b c.npz", "x=1"),
    ],
)
def test_file_and_key(text, file, key):
    assert split_key(text) == (Path(file), key)


def test_a_colon_in_the_name_of_a_file_that_is_there(tmp_path):
    for name in ("12:30.npy", "a:b.h5"):
        (tmp_path / name).touch()
    (tmp_path / "20:15").mkdir()
    assert split_key(f"{tmp_path}/12:30.npy") == (tmp_path / "12:30.npy", None)
    assert split_key(f"{tmp_path}/20:15") == (tmp_path / "20:15", None)
    assert split_key(f"{tmp_path}/a:b.h5:x:y") == (tmp_path / "a:b.h5", "x:y")


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert split_key("~/x.mat:X") == (tmp_path / "x.mat", "X")
    assert split_key("~no-such-user.npy") == (Path("~no-such-user.npy"), None)
