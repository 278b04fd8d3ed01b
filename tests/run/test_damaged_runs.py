"""Run folders that something has damaged, and folders that cannot be written: one line, before time is spent."""

import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, command, composed

import spt
from spt.errors import InvalidValue
from spt.files import check_writable
from spt.run.folder import RunFolder
from spt.run.image_files import FORMATS
from spt.run.train import prepare
from spt.training.initial import read_checkpoint


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> RunFolder:
    """A copy of the small run, to be damaged."""
    return RunFolder(Path(shutil.copytree(tiny_run, tmp_path / "run")))


def test_a_checkpoint_with_other_bytes_is_not_used(run: RunFolder):
    """The file still opens, and its names and shapes are right."""
    content = bytearray(run.best.read_bytes())
    start = len(content) // 3
    content[start : start + 2000] = bytes(255 - value for value in content[start : start + 2000])
    run.best.write_bytes(content)
    assert torch.load(run.best, weights_only=True)["state_dict"]
    with pytest.raises(InvalidValue, match=r"best.ckpt is damaged: the checksum of .* is wrong. Restore the file."):
        spt.load(run.path)
    for verb in ("evaluate", "export"):
        ended = command(f"scripts/{verb}.py", f"run={run.path}")
        assert (ended.code, "best.ckpt is damaged" in ended.err) == (2, True), ended


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no more"])
def test_a_part_of_a_checkpoint_is_no_checkpoint(run: RunFolder, content: bytes):
    run.best.write_bytes(content)
    with pytest.raises(InvalidValue, match=r"is no checkpoint of spt, or only a part of one\. Restore"):
        read_checkpoint(run.best)


def test_weights_alone_are_no_trained_network(run: RunFolder):
    torch.save({"state_dict": torch.load(run.best, weights_only=True)["state_dict"]}, run.best)
    with pytest.raises(InvalidValue, match="holds weights alone, and no sizes"):
        spt.load(run.path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00binary", b"- a\n- list\n", b"a: [1\n", b"model: null\n", b"\tx: 1\n", "cut"],
    ids=["empty", "bytes", "list", "bracket", "null", "tab", "cut"],
)
def test_a_damaged_configuration_is_named(run: RunFolder, content: bytes | str):
    text = run.config.read_bytes()
    run.config.write_bytes(text[: text.index(b"\ntrainer:") + 1] if isinstance(content, str) else content)
    with pytest.raises(InvalidValue, match=r"config.yaml is damaged .*Restore the file.|config.yaml is damaged: it"):
        spt.load(run.path)
    for verb in ("report.py", "compare.py"):
        ended = command(f"scripts/{verb}", str(run.path))
        assert (ended.code, "config.yaml" in ended.err) == (2, True), ended


def test_a_damaged_run_is_not_continued(run: RunFolder):
    run.config.write_bytes(b"a: [1\n")
    ended = command("train.py", f"run={run.path}")
    assert (ended.code, "config.yaml is damaged" in ended.err) == (2, True), ended


def test_a_page_says_that_the_command_is_not_known(run: RunFolder):
    run.overrides.unlink(missing_ok=True)
    assert command("scripts/report.py", str(run.path)).code == 0
    assert "The command is not known" in (run.path / "report.html").read_text()
    run.overrides.write_text("- [\n")
    ended = command("scripts/report.py", str(run.path))
    assert (ended.code, "overrides.yaml cannot be read" in ended.err) == (2, True), ended


def test_a_folder_that_cannot_be_written_is_refused_first(run: RunFolder, tmp_path: Path):
    (tmp_path / "file").touch()
    at = tmp_path / "file" / "out"
    with pytest.raises(InvalidValue, match=r"cannot write to .* Choose another out="):
        check_writable(at)
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    for verb, more in (
        ("evaluate", [f"out={at}"]),
        ("look_inside", ["image=val_seen:0", f"out={at}"]),
        ("export", [f"out={at / 'net.onnx'}"]),
    ):
        ended = command(f"scripts/{verb}.py", f"run={run.path}", *more)
        assert (ended.code, "cannot write to" in ended.err) == (2, True), ended
    for verb in ("report", "compare"):
        ended = command(f"scripts/{verb}.py", str(run.path), "--out", str(at / "page.html"))
        assert (ended.code, "cannot write to" in ended.err) == (2, True), ended


def test_a_full_disk_is_no_end_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("spt.run.image_files.shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(OSError, match="No space left"), FORMATS["h5"](tmp_path) as write:
        write("a", torch.zeros(1, 8, 8).numpy())
    assert list(tmp_path.iterdir()) == []


class Usage:
    """A disk with little room."""

    free = 100


@pytest.mark.parametrize("name", ["seed", "baseline_pairs"])
def test_a_negative_number_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InvalidValue, match=f"{name} must be 0 or more, got -1"):
        prepare(composed(*TINY, f"{name}=-1"), RunFolder(tmp_path))


def test_a_curve_up_to_infinity_is_refused(run: RunFolder):
    ended = command("scripts/evaluate.py", f"run={run.path}", "protocol=noise", "values=[1e300]")
    assert (ended.code, "positive numbers below 1e+12" in ended.err) == (2, True), ended


def test_a_search_in_a_damaged_database_and_with_wrong_overrides(tmp_path: Path):
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    ended = command("scripts/sweep.py", "sweep=loss_and_lr", "trials=1", f"folder={tmp_path}")
    assert (ended.code, "study.db cannot be used" in ended.err) == (2, True), ended
    assert "Traceback" not in ended.err
    other = command(
        "scripts/sweep.py", "sweep=loss_and_lr", "trials=1", f"folder={tmp_path / 'x'}", 'overrides=["model.width=0"]'
    )
    assert (other.code, "width must be a positive multiple" in other.err) == (2, True), other
    assert not (tmp_path / "x").exists()
