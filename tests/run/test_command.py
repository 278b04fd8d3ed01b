"""Errors a user can mend end in a line or two and an exit code; faults of a program keep their traceback."""

import errno
import os
from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from spt.errors import InvalidType, InvalidValue, MissingFile, MissingName, UserError
from spt.run.command import explain, guarded


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidValue("width must be positive"), "width must be positive"),
        (MissingName("x holds no array 'y'"), "x holds no array 'y'"),
        (MissingFile("/data is not there"), "/data is not there"),
        (InvalidType("seed must be int"), "seed must be int"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/a.npz"), "/data/a.npz: No space left on device"),
        (MisconfigurationException("No supported gpu backend found!"), "No supported gpu backend found!"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "Lower data.batch_size"),
    ],
)
def test_user_errors_are_explained(error: Exception, text: str):
    message = explain(error)
    assert message is not None
    assert text in message
    assert len(message.splitlines()) <= 2


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), ValueError("x"), AssertionError(), RuntimeError("shape")]
)
def test_faults_of_a_program_are_not(error: Exception):
    assert explain(error) is None
    with pytest.raises(type(error)):
        guarded(lambda: (_ for _ in ()).throw(error))


def test_a_missing_file_in_foreign_code_keeps_its_traceback(tmp_path: Path):
    own = tmp_path / "own_loss.py"
    own.write_text("def read():\n    open('/nowhere/table.txt')\n")
    namespace: dict = {}
    exec(compile(own.read_text(), str(own), "exec"), namespace)
    with pytest.raises(FileNotFoundError) as caught:
        namespace["read"]()
    assert explain(caught.value) is None


def test_a_user_error_ends_with_code_2_and_its_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse() -> None:
        raise InvalidValue("width must be positive")

    with pytest.raises(SystemExit, match="2"):
        guarded(refuse)
    assert capsys.readouterr().err == "Error: width must be positive\n"
    monkeypatch.setitem(os.environ, "HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError):
        guarded(refuse)
