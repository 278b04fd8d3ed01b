"""read_objects: how many reconstructions are read as their objects; refused where there are no classes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import command, composed
from lab_set import write_lab_set
from omegaconf import OmegaConf

from spt.data.objects import SparseObjects, StoredObjects
from spt.errors import InvalidValue, MissingFile
from spt.run.folder import RunFolder
from spt.run.read_objects import Reading, read_objects
from spt.run.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on noise."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    write_lab_set(folder.path / "lab.h5", (32, 32), (32, 32), dark=0.2)
    own = [f"data.source.path={folder.path / 'lab.h5'}", f"cache={folder.path}", "baseline_pairs=0"]
    small = ["model.width=4", "trainer=cpu", "trainer.max_epochs=1", "~callbacks", "~logger"]
    config = composed("data=hdf5", *small, *own)
    folder.config.parent.mkdir()
    OmegaConf.save(config, folder.config)
    train(config, folder)
    return folder.path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> StoredObjects:
    """Left and right halves that are bright, 200 images."""
    path = tmp_path_factory.mktemp("labelled") / "halves.npz"
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 60, (200, 28, 28), dtype=np.uint8), np.arange(200) % 2
    images[labels == 0, :, :14] += 150
    images[labels == 1, :, 14:] += 150
    np.savez(path, x=images, y=labels)
    return StoredObjects(str(path), "x", "y")


def test_a_network_that_sees_is_read_and_one_that_guesses_is_not(
    run: Path, labelled: StoredObjects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The eight validation pairs show halves; the network paints each of them, then always the first."""
    half = torch.zeros(8, 32, 32)
    half[::2, :, :16] = half[1::2, :, 16:] = 0.7
    frames = iter([half, half[:1].expand(8, -1, -1)])
    monkeypatch.setattr("spt.data.pairs.Pairs.images", lambda self: half[:, None])
    monkeypatch.setattr("spt.run.read_objects._images", lambda predictor, pairs: next(frames))
    seeing = read_objects(run, labelled, 160, 0, None, "cpu")
    assert seeing.right == 1
    assert seeing.splits == {"val_seen": (8, 8)}
    assert json.loads(seeing.out.read_text())["val_seen"] == {"same": 8, "n": 8}
    assert seeing.out.parent.parent == run
    guessing = read_objects(run, labelled, 160, 0, tmp_path / "numbers.json", "cpu")
    assert guessing.splits == {"val_seen": (4, 8)}
    assert guessing.out == tmp_path / "numbers.json"


def test_what_is_said():
    said = Reading(0.99, {"test_unseen": (49, 50)}, Path("x")).sentences()
    assert said[0].startswith("The classifier reads 99.0 % of labelled objects right")
    assert said[1] == "test_unseen: 49 of 50 images are read as their objects (98 %)."


def test_objects_without_classes_and_too_few_are_refused(run: Path, labelled: StoredObjects):
    with pytest.raises(InvalidValue, match="needs objects of two classes or more, and these have no labels"):
        read_objects(run, SparseObjects(), 100, 0, None, "cpu")
    with pytest.raises(InvalidValue, match="images must be 100 or more, got 5"):
        read_objects(run, labelled, 5, 0, None, "cpu")
    with pytest.raises(MissingFile, match="is not a run with a trained network"):
        read_objects(run / "none", labelled, 100, 0, None, "cpu")


def test_the_command_needs_a_run():
    ended = command("scripts/read_objects.py")
    assert ended.code == 2
    assert "run= is missing" in ended.err
