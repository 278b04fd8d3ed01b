"""Checkpoint files are whole or absent."""

from pathlib import Path

import pytest
import torch

from spt.training.checkpoints import AtomicCheckpoints


def test_round_trip_with_weights_only(tmp_path: Path):
    path = tmp_path / "checkpoints" / "a.ckpt"
    AtomicCheckpoints().save_checkpoint({"w": torch.arange(3)}, path)
    assert torch.load(path, weights_only=True)["w"].tolist() == [0, 1, 2]
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.ckpt"
    AtomicCheckpoints().save_checkpoint({"w": torch.ones(1)}, path)

    def full_disk(part: Path, content: bytes) -> int:
        part.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match=r"No space left on device.*a\.ckpt"):
        AtomicCheckpoints().save_checkpoint({"w": torch.zeros(1)}, path)
    assert torch.load(path, weights_only=True)["w"].item() == 1
    assert list(tmp_path.iterdir()) == [path]
