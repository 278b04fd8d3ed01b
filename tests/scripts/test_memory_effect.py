"""The script of the memory-effect curves: a table within the laws, a figure that opens."""

import importlib.util

import pytest
from conftest import ROOT
from PIL import Image


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("memory_effect", ROOT / "scripts" / "memory_effect.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_table_and_figure(script, tmp_path):
    table = script.memory_effect(2, 0, tmp_path / "deep" / "curves.png").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table[2:]]
    assert len(rows) == 7 + 9
    for _, _, simulated, law in rows:
        assert float(simulated.split(" ± ")[0]) == pytest.approx(float(law), abs=0.05)
    assert [float(row[2].split(" ± ")[0]) for row in rows if row[1] == "0"] == pytest.approx([1, 1], abs=2e-3)
    with Image.open(tmp_path / "deep" / "curves.png") as image:
        assert image.size[0] > 600


def test_one_medium_has_no_spread(script, tmp_path):
    with pytest.raises(ValueError, match="--media must be at least 2, to show a spread, got 1"):
        script.memory_effect(1, 0, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())
