"""scripts/complexity.py as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "complexity.py"), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_one_network_with_overrides_of_its_own(tmp_path: Path):
    done = run("model=deep_speckle", "size=[32]", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "Networks beside the notes' figures" in done.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "complexity.md",
        "complexity.json",
        "comparison.csv",
        "operations.csv",
        "structure.csv",
        "data_types.csv",
        "tensorboard",
    }
    report = json.loads((tmp_path / "complexity.json").read_text())
    assert {row["network"] for row in report["comparison"]["rows"]} == {"deep_speckle"}
    assert report["structure"]["rows"][0]["trainable"] == 21_850_530  # its own head, two softmax channels
    assert "model=deep_speckle size=[32]" in report["command"]


@pytest.mark.slow
def test_layers_of_a_narrow_network(tmp_path: Path):
    done = run("model=spt_unet", "model.width=8", "layers=true", "size=32", "repeats=1", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "layers_spt_unet.png").read_bytes().startswith(b"\x89PNG")


def test_a_name_that_does_not_exist_and_a_batch_of_none(tmp_path: Path):
    done = run("models=[spt_unet,mine]", f"out={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: models: no configs/model/mine.yaml. There are deep_speckle, sa_cnn" in done.stderr
    assert "batch must be positive whole numbers, got 0." in run("batch=0", f"out={tmp_path}").stderr
    assert not list(tmp_path.iterdir())


def test_table_1_of_attention_is_all_you_need(tmp_path: Path):
    done = run("layer_types=[64,8,4,16]", f"out={tmp_path}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "layer_types.json").read_text())["layer_types"]["rows"]
    assert [row["complexity per layer"] for row in rows] == [32768, 4096, 16384, 8192]
