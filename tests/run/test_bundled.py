"""Networks that come with spt: small, with their command and scores, and as good on fresh frames as they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import command
from hydra.utils import instantiate

import spt
from spt.errors import InvalidValue, MissingFile
from spt.metrics import pcc
from spt.run.bundled import FOLDER, bundled_names, refuse_bundled, run_path

NAMES = ["weak_scatter", "weak_scatter_faces"]
FRESH = 96


def test_the_names():
    assert bundled_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_says_how_it_was_made(name: str):
    folder = FOLDER / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2_000_000
    page = (folder / "README.md").read_text()
    assert "python train.py experiment=quick" in page
    assert "Through unseen diffusers (val_unseen): PCC" in page
    config = (folder / ".hydra/config.yaml").read_text()
    assert "/tmp" not in config
    assert "/root" not in config


@pytest.mark.parametrize("name", NAMES)
def test_its_score_holds_on_fresh_objects_behind_fresh_diffusers(name: str):
    net = spt.load(name)
    source = net.config.data.source
    objects, setup, camera = (instantiate(source[part]) for part in ("objects", "setup", "camera"))
    truth = torch.from_numpy(objects.draw("val_unseen", range(FRESH), net.object_size[0], seed=77)).float() / 255
    rng = np.random.default_rng(77)
    frames = camera.expose(setup.intensity(truth, setup.draw(FRESH, rng)), rng)
    found = pcc(net(frames)[:, None], truth[:, None])
    said = json.loads((FOLDER / name / "metrics.json").read_text())["val_unseen"]["pcc"]
    room = 4 * (said["sem"] ** 2 + float(found.var()) / FRESH) ** 0.5
    assert abs(found.mean().item() - said["mean"]) < room
    assert room < 0.05


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert run_path("weak_scatter") == FOLDER / "weak_scatter"
    (tmp_path / "weak_scatter").mkdir()
    with pytest.raises(MissingFile, match=r"Networks that come with spt: weak_scatter, weak_scatter_faces\."):
        spt.load("weak_scatter")


def test_nothing_is_written_beside_it(tmp_path: Path):
    with pytest.raises(InvalidValue, match=r"run=weak_scatter comes with spt, .* Set out=<folder>"):
        refuse_bundled(FOLDER / "weak_scatter")
    refuse_bundled(tmp_path)
    before = sorted(FOLDER.rglob("*"))
    for script in ("evaluate", "export", "look_inside", "read_objects"):
        image = ["image=val_seen:0"] if script == "look_inside" else []
        ended = command(f"scripts/{script}.py", "run=weak_scatter", *image)
        assert ended.code == 2
        assert "comes with spt" in ended.err
    assert sorted(FOLDER.rglob("*")) == before


def test_frames_can_be_predicted_with_it(tmp_path: Path):
    np.save(tmp_path / "frames.npy", np.random.default_rng(0).integers(0, 200, (2, 64, 64), dtype=np.uint8))
    ended = command("scripts/predict.py", "run=weak_scatter", f"input={tmp_path}/frames.npy", f"out={tmp_path}/out")
    assert ended.code == 0, ended
    assert len(list((tmp_path / "out").iterdir())) == 2
