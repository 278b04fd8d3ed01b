import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from spt import __version__
from spt.run.environment import describe_environment, git_revision, note_start, read_starts
from spt.run.folder import RunFolder


def test_every_start_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = RunFolder(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["train.py", "loss=bce"])
    note_start(folder)
    monkeypatch.setattr(sys, "argv", ["train.py", "run=here", "trainer.max_epochs=4"])
    note_start(folder)
    starts = read_starts(folder)
    assert [start["arguments"] for start in starts] == [["loss=bce"], ["run=here", "trainer.max_epochs=4"]]
    assert starts[0]["spt"] == __version__
    assert starts[0]["packages"]["torch"] == version("torch")
    assert starts == json.loads(folder.environment.read_text())


@pytest.mark.parametrize("text", ["", "{", "{}", "3", '["a"]'])
def test_a_damaged_file_is_no_entry(tmp_path: Path, text: str):
    folder = RunFolder(tmp_path)
    folder.environment.write_text(text)
    assert read_starts(folder) == []
    note_start(folder)
    assert len(read_starts(folder)) == 1


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *named, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "spt").mkdir()
    (tmp_path / "spt" / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    return tmp_path


def test_the_commit_and_whether_files_were_changed(checkout: Path):
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    (checkout / "outputs").mkdir()
    (checkout / "outputs" / "new").write_text("no part of the code")
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_revision(checkout) == {"commit": commit, "changed": False}
    (checkout / "spt" / "__init__.py").write_text("changed")
    assert git_revision(checkout) == {"commit": commit, "changed": True}


def test_a_repository_that_only_surrounds_the_code_does_not_count(checkout: Path):
    assert git_revision(checkout) is None


def test_outside_git_and_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(Path(__file__).parents[2]) is None
    assert describe_environment()["git"] is None
