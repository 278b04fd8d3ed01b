"""Training on pairs of a twin: the whole way, and what would make its scores too good."""

import json
from pathlib import Path

import h5py
import pytest
from conftest import composed
from lab_set import write_lab_set
from omegaconf import OmegaConf

import spt.data.twin.fitting as fitting
from spt.data.objects import SparseObjects
from spt.errors import InvalidValue
from spt.optics.twin import Stage
from spt.run.continuing import continue_run
from spt.run.folder import RunFolder
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


def test_the_whole_way(folder: RunFolder):
    train(OmegaConf.load(folder.config), folder)
    assert json.loads(folder.metrics.read_text())["val_seen"]["pcc"]["n"] == 8
    with pytest.raises(InvalidValue, match=r"data.twin.measured decides what the network was trained on"):
        continue_run([f"run={folder.path}", "data.twin.measured=0.5", "trainer.max_epochs=2"])


def test_objects_that_choose_the_epoch_are_not_simulated(folder: RunFolder, tmp_path: Path):
    with h5py.File(tmp_path / "lab.h5", "r+") as file:
        file["val_seen/target"][2] = SparseObjects().draw("train", [5], 28, 0)[0] / 255
    with pytest.raises(InvalidValue, match=r"val_seen.* shows simulated object 5. Leave these objects out"):
        train(OmegaConf.load(folder.config), folder)
    assert not folder.last.exists()
