"""check_data.py: its exit codes."""

import pytest
from conftest import command
from recordings import write_pairs


@pytest.fixture
def root(tmp_path):
    write_pairs(tmp_path / "set", "speckle/{}.png", "target/{}.png", range(1, 13))
    return tmp_path / "set"


def test_a_clean_set_a_bad_one_and_none(root):
    arguments = ["data=folder", f"data.source.root={root}", "saturated=0.5"]
    ended = command("scripts/check_data.py", *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert "Nothing bad was found." in ended.out
    (root / "speckle" / "3.png").write_bytes(b"")
    ended = command("scripts/check_data.py", *arguments)
    assert ended.code == 1
    assert "speckle/3.png" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data=folder", "data.source.root=/nowhere"], "/nowhere is not a folder"),
        (["frames=/nowhere"], "/nowhere"),
        (["frames=/nowhere", "saturated=2"], "saturated must be a share"),
        (["out=bad.txt"], "out=… needs pairs in files of their own"),
    ],
)
def test_nothing_could_be_checked(arguments, said):
    ended = command("scripts/check_data.py", *arguments)
    assert ended.code == 2
    assert said in ended.err
