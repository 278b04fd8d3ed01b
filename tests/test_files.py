import errno
import os

import pytest

from spt.files import atomic


def everything(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_the_file_takes_its_place_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic(path) as part:
        assert part.parent == path.parent  # another file system could not be renamed from
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert everything(tmp_path) == ["a.txt"]


def test_missing_folders_are_made(tmp_path):
    with atomic(tmp_path / "a" / "b" / "c.txt") as part:
        part.write_text("x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("old", ["old", None])
def test_an_error_or_interruption_leaves_things_as_they_were(tmp_path, error, old):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)

    def write():
        with atomic(path) as part:
            part.write_text("half")
            raise error(28, "reason")

    with pytest.raises(error, match="reason"):
        write()
    assert everything(tmp_path) == (["a.txt"] if old else [])
    assert not old or path.read_text() == old


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "cache.npz"

    def write():
        with atomic(path) as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=f"cannot write .No space left on device.*{path}") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("below", ["a.txt", "b/a.txt"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path, below):
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / below
    with pytest.raises(OSError, match="cannot write") as caught, atomic(path):
        pytest.fail("the block must not run where nothing can be written")
    assert caught.value.filename == str(path)
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    path = tmp_path / "a"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="cannot write") as caught, atomic(path) as part:
        part.write_text("x")
    assert caught.value.filename == str(path)
    assert everything(tmp_path) == ["a", "inside"]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError, match="cannot write"), atomic(path):
        pass
    assert path.read_text() == "old"
