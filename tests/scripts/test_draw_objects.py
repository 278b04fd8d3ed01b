"""The sheet of objects, as a user draws it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import ROOT
from PIL import Image


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "draw_objects.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_row_for_training_objects_and_one_for_classes_never_trained(tmp_path: Path):
    out = tmp_path / "sheet.png"
    done = draw("sparse", "--size", "32", "--count", "5", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["row 1: sparse, train", "row 2: sparse, val_class"]
    sheet = np.asarray(Image.open(out))
    assert sheet.shape == (2 * 32, 5 * 32, 3)
    assert all(tile.any() for row in np.split(sheet, 2) for tile in np.split(row, 5, axis=1))


def test_no_objects_are_refused(tmp_path: Path):
    done = draw("sparse", "--count", "0", "--out", str(tmp_path / "sheet.png"))
    assert done.returncode == 2
    assert done.stderr == "Error: --size and --count must be 1 or more, got 96 and 0.\n"
    assert not any(tmp_path.iterdir())
