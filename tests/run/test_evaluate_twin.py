"""evaluate_twin: other objects behind simulated diffusers of the twin that a network was trained with."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Ended, command, composed
from lab_set import write_lab_set
from omegaconf import OmegaConf

import spt
import spt.data.twin.fitting as fitting
from spt.data.inputs import Unstacked
from spt.data.objects import SparseObjects
from spt.data.twin import Jitter, Simulation
from spt.optics.twin import Stage
from spt.run.building import build
from spt.run.folder import RunFolder
from spt.run.train import train

SHORT = ["images=16", "baseline_pairs=24", "~objects.mnist"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on a twin that was hardly fitted."""
    folder = tmp_path_factory.mktemp("twin")
    write_lab_set(folder / "lab.h5", (64, 64), (28, 28), dark=0.2)
    chosen = ["data=hdf5", "preparation@data.preparation=spectra", "twin@data.twin=fitted", "loss=bce_dice"]
    small = ["objects@data.twin.objects=sparse", "data.twin.pairs=32", "model.width=4", f"cache={folder}"]
    bare = ["~callbacks", "~logger", "baseline_pairs=0", "trainer=cpu", "trainer.precision=32-true"]
    settings = [*bare, "trainer.max_epochs=1", f"data.source.path={folder / 'lab.h5'}"]
    run = RunFolder(folder / "run")
    config = composed(*chosen, *small, *settings)
    run.config.parent.mkdir(parents=True)
    OmegaConf.save(config, run.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "STAGES", (Stage(1e-5, 0.03, 4, windows=False),))
        train(config, run)
    return run.path


@pytest.fixture(scope="module")
def ended(run: Path) -> Ended:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPT_DATA", raising=False)
        return command("scripts/evaluate_twin.py", f"run={run}", *SHORT)


def test_every_kind_of_objects_is_a_column_beside_the_simple_methods(run: Path, ended: Ended):
    assert ended.code == 0, ended.err
    found = json.loads((run / "evaluation/twin_objects/evaluation.json").read_text())["twin_objects"]
    labels = [point["label"] for point in found["points"]]
    assert labels == ["as in the training", "left-out classes", "faces"], "sparse objects are the first column"
    for point in found["points"]:
        scores = point["network"]["unseen"]["pcc"]
        assert (scores["n"], scores["diffusers"], scores["objects"]) == (16, 2, 16)
        assert set(point["baselines"]["unseen"]) == {"mean image", "nearest neighbour", "linear ridge"}
    assert "omniglot is left out: " in ended.out
    assert "Objects let light through or not, as the twin was fitted." in ended.out
    assert max(map(len, ended.out.splitlines()[:-8])) <= 100
    drawn = {path.name for path in (run / "evaluation/twin_objects/figures").iterdir()}
    assert drawn == {"as_in_the_training.png", "left-out_classes.png", "faces.png"}


def test_the_network_sees_what_it_would_see_in_training(run: Path):
    """Pairs of the training, as this command makes them, are those of the training: same inputs, same objects."""
    net = spt.load(run)
    simulation = Simulation(net.twin, Jitter(), 50, int(net.config.seed))
    shown = (net.preparation, SparseObjects(), "train", 32)
    pairs = simulation.pairs("train", *shown, test=False)
    assert pairs.speckle.shape == (32, 320, 32)
    assert pairs.target.dtype == torch.uint8
    data = build(net.config.data)
    data.twin.file = str(run / "twin.h5")
    data.setup()
    trained = data.simulated.__getitems__(list(range(32)))
    assert torch.equal(Unstacked(10)(pairs.speckle[:][:, None]), trained["speckle"])
    assert torch.equal(pairs.images(), trained["target"])
    again = simulation.pairs("test", *shown, test=True)
    assert not set(again.diffuser.tolist()) & set(pairs.diffuser.tolist())
    assert torch.equal(again.target, torch.from_numpy(SparseObjects().draw("train", range(32), 28, 0)))


def test_diffusers_and_noise_of_tests_are_those_of_no_training(run: Path):
    """Objects that jitter leaves alone: what differs is the diffuser, and then the noise."""
    net = spt.load(run)
    simulation = Simulation(net.twin, Jitter(changed=0.0), 50, int(net.config.seed))
    trained, test = (simulation.predict(SparseObjects(), "train", 8, test) for test in (False, True))
    assert torch.equal(trained.objects, test.objects)
    assert (trained.spectra - test.spectra).abs().mean() > 0.01
    same = replace(simulation, jitter=Jitter(scale=0, shift=0, halo=0, gain=0, blur=0, weights=0, light=0, changed=0))
    noise = [same.pairs("x", net.preparation, SparseObjects(), "train", 8, test).speckle for test in (False, True)]
    assert (noise[0] - noise[1]).abs().mean() > 0.1


def test_pictures_of_an_earlier_evaluation_are_gone_and_a_family_can_be_left_out(run: Path, tmp_path: Path):
    asked = [f"run={run}", "images=4", "baseline_pairs=0", f"out={tmp_path}", "~objects.mnist", "~objects.omniglot"]
    assert command("scripts/evaluate_twin.py", *asked).code == 0
    assert (tmp_path / "figures/faces.png").is_file()
    ended = command("scripts/evaluate_twin.py", *asked, "~objects.faces")
    assert ended.code == 0, ended.err
    assert not (tmp_path / "figures/faces.png").exists()


def test_stored_objects_that_trained_are_left_out_and_there_are_no_more_than_there_are(run: Path, tmp_path: Path):
    """A run that says it was trained on digits; other settings show the same digits among others."""
    digits = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    np.savez(tmp_path / "digits.npz", images=digits)
    stored = {"_target_": "spt.data.objects.StoredObjects", "path": str(tmp_path / "digits.npz"), "white": 255}
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = OmegaConf.load(copy / ".hydra/config.yaml")
    config.data.twin.objects = {**stored, "validation_share": 0.4}
    OmegaConf.save(config, copy / ".hydra/config.yaml")
    mine = ["+objects@objects.mine=folder", f"objects.mine.path={tmp_path / 'digits.npz'}", "objects.mine.white=255"]
    ended = command("scripts/evaluate_twin.py", f"run={copy}", *SHORT, *mine, "objects.mine.validation_share=0.7")
    assert ended.code == 0, ended.err
    assert re.search(r"mine is left out: \d+ of its objects trained the network", ended.out)
    found = json.loads((copy / "evaluation/twin_objects/evaluation.json").read_text())["twin_objects"]
    assert found["points"][0]["network"]["unseen"]["pcc"]["n"] == 12, "half of the 24 that validate"


def test_grey_objects_let_through_what_their_level_says(run: Path):
    twin = spt.load(run).twin.twin
    flat = torch.full((1, 28, 28), 0.2)
    shift = torch.zeros(1, 2)
    binary, twin.grey = [twin.intensity(k * flat, shift).sum() for k in (1, 2)], True
    grey = [twin.intensity(k * flat, shift).sum() for k in (1, 2)]
    leak = twin.leak.exp().item()
    assert (grey[1] / grey[0]).item() == pytest.approx((0.4 + leak) / (0.2 + leak), rel=1e-3)
    assert (binary[1] / binary[0]).item() != pytest.approx(2, rel=0.1)


def test_a_run_with_grey_objects_is_evaluated_on_grey_faces(run: Path, tmp_path: Path):
    """The run says so; the fit is the same."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = OmegaConf.load(copy / ".hydra/config.yaml")
    config.data.twin.grey = True
    OmegaConf.save(config, copy / ".hydra/config.yaml")
    ended = command("scripts/evaluate_twin.py", f"run={copy}", *SHORT, "~objects.omniglot", "baseline_pairs=0")
    assert ended.code == 0, ended.err
    assert "Objects let light through or not" not in ended.out
    assert spt.load(copy).twin.twin.grey


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "run= is missing"),
        (["run={run}", "images=1"], "images must be 2 or more"),
        (["run={run}", "binary=[digits]"], "binary names digits; the objects are mnist, omniglot, sparse, faces."),
        (["run={tiny}"], "this needs the twin that made the training pairs"),
        (["run=nowhere"], "run=nowhere is not a run"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(run: Path, tiny_run: Path, arguments: list[str], message: str):
    given = [each.format(run=run, tiny=tiny_run) for each in arguments]
    ended = command("scripts/evaluate_twin.py", *given)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tiny_run / "evaluation").exists()
