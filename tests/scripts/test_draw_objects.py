"""The sheet of objects, as the command draws it."""

from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from spt.errors import InvalidValue


def draw(*arguments) -> None:
    run_path(str(ROOT / "scripts" / "draw_objects.py"))["draw"](*arguments)


def test_a_row_for_training_objects_and_one_for_classes_never_trained(tmp_path: Path, capsys):
    draw(["sparse"], 32, 5, 0, tmp_path / "sheet.png")
    assert capsys.readouterr().out.splitlines()[:2] == ["row 1: sparse, train", "row 2: sparse, val_class"]
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 32, 5 * 32, 3)
    assert all(tile.any() for row in np.split(sheet, 2) for tile in np.split(row, 5, axis=1))


def test_no_objects_are_refused(tmp_path: Path):
    with pytest.raises(InvalidValue, match="--size and --count must be 1 or more, got 96 and 0"):
        draw(["sparse"], 96, 0, 0, tmp_path / "sheet.png")
    assert not any(tmp_path.iterdir())
