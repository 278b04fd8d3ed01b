"""Each example runs, with tiny settings, and does what its first line says."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PLAIN, ROOT, TINY, command
from PIL import Image

import spt

FAST = [*TINY, *PLAIN, "trainer.max_epochs=1"]


def test_every_example_is_tried_here():
    tried = set(re.findall(r'"examples/(\w+\.py)"', Path(__file__).read_text()))
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == tried


def test_the_speckle_of_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ended = command("examples/speckle_of_an_object.py")
    assert ended.code == 0, ended
    with Image.open("speckle.png") as speckle, Image.open("object.png") as ring:
        assert speckle.size == ring.size == (64, 64)
        assert np.asarray(ring).mean() == pytest.approx(255 * (32**2 - 16**2) / 64**2)
        light = np.asarray(speckle, float)
    assert 0.5 < light.std() / light.mean() < 1.2
    assert f"brightest pixel {int(light.max())} of 255" in ended.out


def test_train_in_python(tmp_path: Path):
    ended = command("examples/train_in_python.py", str(tmp_path / "run"), *FAST)
    assert ended.code == 0, ended
    assert "PCC of new objects behind the trained diffuser:" in ended.out
    assert spt.load(tmp_path / "run").frame_size == (32, 32)


def test_a_loss_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    ended = command("examples/own_loss.py", str(tmp_path / "run"), *FAST)
    assert ended.code == 0, ended
    assert "PCC of new objects:" in ended.out
    with pytest.raises(ValueError, match="SPT_TRUST=own_loss"):
        spt.load(tmp_path / "run")
    monkeypatch.setenv("SPT_TRUST", "own_loss")
    assert spt.load(tmp_path / "run").frame_size == (32, 32)
    loss = sys.modules["own_loss"].EdgeLoss(0.5)
    target = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert loss(torch.zeros(1, 1, 2, 2), target).item() == pytest.approx(np.log(2) + 0.5, abs=1e-6)


def test_frames_of_ones_own(tiny_run: Path, tmp_path: Path):
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    ended = command("examples/own_frames.py", str(tiny_run), str(tmp_path / "frames.npy"))
    assert ended.code == 0, ended
    expected = (spt.load(tiny_run)(frames) * 255).round()
    for number in range(2):
        with Image.open(tmp_path / f"frames/{number:03d}.png") as image:
            assert np.array_equal(np.asarray(image), expected[number])


def test_see_through_a_diffuser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ended = command("examples/see_through_a_diffuser.py")
    assert ended.code == 0, ended
    score = float(ended.out.rpartition(" ")[2].rstrip(".\n"))
    assert score > 0.75
    with Image.open("seen.png") as sheet:
        assert sheet.size == (1024, 384)
