"""Training on pairs of a twin: the whole way, and what would make its scores too good."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import command, composed
from lab_set import write_lab_set
from omegaconf import OmegaConf

import spt
import spt.data.twin.fitting as fitting
from spt.data.objects import SparseObjects
from spt.errors import InvalidValue, UserError
from spt.metrics import pcc
from spt.optics.twin import Stage, open_twin
from spt.run.continuing import continue_run
from spt.run.folder import RunFolder
from spt.run.parts import build_parts
from spt.run.train import train

BARE = ["~callbacks", "~logger", "baseline_pairs=0", "trainer=cpu", "trainer.precision=32-true", "trainer.max_epochs=1"]
TWIN = [
    "data=hdf5",
    "preparation@data.preparation=spectra",
    "twin@data.twin=fitted",
    "objects@data.twin.objects=sparse",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that is configured, with a set of noise and a short fit."""
    monkeypatch.setattr(fitting, "STAGES", (Stage(1e-5, 0.03, 4, windows=False),))
    write_lab_set(tmp_path / "lab.h5", (64, 64), (28, 28), dark=0.2)
    small = ["data.twin.pairs=32", "model.width=4", "loss=bce_dice", f"cache={tmp_path}"]
    config = composed(*TWIN, *BARE, *small, f"data.source.path={tmp_path / 'lab.h5'}")
    folder = RunFolder(tmp_path / "run")
    folder.config.parent.mkdir(parents=True)
    OmegaConf.save(config, folder.config)
    return folder


def test_the_whole_way(folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(OmegaConf.load(folder.config), folder)
    assert json.loads(folder.metrics.read_text())["val_seen"]["pcc"]["n"] == 8
    with pytest.raises(InvalidValue, match=r"data.twin.measured decides what the network was trained on"):
        continue_run([f"run={folder.path}", "data.twin.measured=0.5", "trainer.max_epochs=2"])
    refined_by_every_command(folder, tmp_path)
    # It goes on with its own twin, although the file of the cache is gone.
    for file in tmp_path.glob("twin-*.h5"):
        file.unlink()
    monkeypatch.setattr("spt.data.twin.training.fit_to_pairs", lambda *given: pytest.fail("fitted again"))
    ended = command("train.py", f"run={folder.path}", "trainer.max_epochs=2")
    assert ended.code == 0, ended.err
    assert json.loads(folder.metrics.read_text())["run"]["epochs"] == 2


def refined_by_every_command(folder: RunFolder, tmp_path: Path):
    """evaluate, predict, read_objects and Python give the same images; they differ from those of the network."""
    with h5py.File(tmp_path / "lab.h5") as file:
        frames = file["val_seen/speckle"][:]
    net = spt.load(folder.path)
    images = net.refine(frames)
    assert np.abs(images - net(frames)).max() > 1e-3
    np.save(tmp_path / "frames.npy", frames)
    options = [f"run={folder.path}", "refine=true"]
    ended = command(
        "scripts/predict.py", *options, f"input={tmp_path / 'frames.npy'}", f"out={tmp_path / 'out'}", "format=npy"
    )
    assert ended.code == 0, ended.err
    assert np.allclose(np.load(tmp_path / "out" / "frames.npy"), images, atol=1e-4)
    ended = command("scripts/evaluate.py", *options, "baseline_pairs=0")
    assert ended.code == 0, ended.err
    assert "SpTUNet, refined" in ended.out
    found = json.loads((folder.path / "evaluation" / "splits_refined" / "evaluation.json").read_text())
    with h5py.File(tmp_path / "lab.h5") as file:
        objects = torch.from_numpy(file["val_seen/target"][:]).float()[:, None]
    assert pcc(torch.from_numpy(images)[:, None], objects).mean().item() == pytest.approx(
        pcc_of(found, "val_seen"), abs=1e-4
    )
    assert "splits_refined" in json.loads(folder.metrics.read_text())["protocols"]


def pcc_of(found: dict, split: str) -> float:
    """The network's PCC in the only table of an evaluation."""
    (table,) = found.values()
    (point,) = [point for point in table["points"] if point["label"] == split]
    return point["network"]["seen"]["pcc"]["mean"]


def test_a_twin_that_a_refused_run_left_is_not_used(folder: RunFolder):
    folder.twin.write_bytes(b"of other data")
    train(OmegaConf.load(folder.config), folder)
    assert open_twin(folder.twin).facts["pairs"] == 16
    assert spt.load(folder.path).twin is not None


def test_images_are_not_refined_without_a_twin_or_in_tiles(tiny_run: Path, tmp_path: Path):
    np.save(tmp_path / "x.npy", np.ones((2, 32, 32)))
    options = [f"run={tiny_run}", "refine=true", f"input={tmp_path / 'x.npy'}", f"out={tmp_path / 'out'}"]
    ended = command("scripts/predict.py", *options)
    assert ended.code == 2
    assert "this needs the twin that made the training pairs" in ended.err
    assert not (tmp_path / "out").exists()
    assert "refine=true takes whole frames. Set tile=none." in command("scripts/predict.py", *options, "tile=auto").err
    assert command("scripts/evaluate.py", *options[:2]).code == 2
    with pytest.raises(InvalidValue, match=r"Train with twin@data\.twin=fitted"):
        spt.load(tiny_run).refine(np.ones((2, 32, 32)))


def test_objects_that_choose_the_epoch_are_not_simulated(folder: RunFolder, tmp_path: Path):
    with h5py.File(tmp_path / "lab.h5", "r+") as file:
        file["val_seen/target"][2] = SparseObjects().draw("train", [5], 28, 0)[0] / 255
    with pytest.raises(InvalidValue, match=r"val_seen.* shows simulated object 5. Leave these objects out"):
        train(OmegaConf.load(folder.config), folder)
    assert not folder.last.exists()


def test_a_file_that_is_no_twin_is_refused_before_frames_are_read(folder: RunFolder, tmp_path: Path):
    for name, message in (("nowhere.h5", "is not there. Fit a twin first"), ("x.h5", "cannot be read as a twin")):
        (tmp_path / "x.h5").write_bytes(b"no twin")
        config = OmegaConf.load(folder.config)
        config.data.twin.file = str(tmp_path / name)
        with pytest.raises(UserError, match=message):
            build_parts(config)
