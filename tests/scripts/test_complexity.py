"""scripts/complexity.py as a user starts it."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, command
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

SCRIPT = ROOT / "scripts" / "complexity.py"


@pytest.fixture
def report(tmp_path: Path):
    """Answer what overrides ask for, as the script does, into ``tmp_path``."""
    spec = importlib.util.spec_from_file_location("complexity_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*overrides: str) -> None:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            cfg = compose("complexity", [*overrides, f"out={tmp_path}"], return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            script.report(cfg)

    yield run
    HydraConfig.instance().cfg = None
    GlobalHydra.instance().clear()


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_one_network_with_overrides_of_its_own(report: Callable, tmp_path: Path, capsys):
    report("model=spt_unet", "model.width=4", "size=[32]")
    assert "Networks beside the notes' figures" in capsys.readouterr().out
    tables = ("comparison.csv", "operations.csv", "structure.csv", "data_types.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"complexity.md", "complexity.json", *tables, "tensorboard"}
    found = read(tmp_path / "complexity.json")
    assert {row["network"] for row in found["comparison"]["rows"]} == {"spt_unet"}
    assert found["structure"]["rows"][0]["trainable"] < 100_000  # the default width has 6,616,577
    assert "threads, torch" in found["command"]


def test_a_network_is_built_with_the_head_that_it_brings():
    from spt.run.building import network_builders

    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("complexity", ["models=deep_speckle"])
        (build,) = network_builders(cfg).values()
    assert sum(p.numel() for p in build().parameters()) == 21_850_530  # two softmax channels


def test_layers_of_a_narrow_network(report: Callable, tmp_path: Path):
    report("model=spt_unet", "model.width=4", "layers=true", "size=32", "repeats=1")
    assert (tmp_path / "layers_spt_unet.png").read_bytes().startswith(b"\x89PNG")
    assert read(tmp_path / "layers.json")["layers_spt_unet"]["rows"]


def test_table_1_of_attention_is_all_you_need(report: Callable, tmp_path: Path):
    report("layer_types=[64,8,4,16]")
    rows = read(tmp_path / "layer_types.json")["layer_types"]["rows"]
    assert [row["complexity per layer"] for row in rows] == [32768, 4096, 16384, 8192]


@pytest.mark.slow
def test_measured_times_stand_in_the_comparison(report: Callable, tmp_path: Path):
    report("models=sa_cnn_single", "size=256", "timing=true", "compiled=false", "max_batch=1", "repeats=1")
    found = read(tmp_path / "complexity.json")
    (images,) = [row for row in found["comparison"]["rows"] if row["quantity"] == "images/s"]
    (timed,) = [row for row in found["throughput"]["rows"] if row["batch"] == 2]
    assert images["ours"] == pytest.approx(timed["images/s"], rel=1e-3)


def test_a_name_that_does_not_exist_ends_in_one_line(tmp_path: Path):
    done = command("scripts/complexity.py", "models=[spt_unet,mine]", f"out={tmp_path}")
    assert (done.code, done.out) == (2, "")
    assert "Error: models: no configs/model/mine.yaml. There are deep_speckle, sa_cnn" in done.err
    assert not list(tmp_path.iterdir())
