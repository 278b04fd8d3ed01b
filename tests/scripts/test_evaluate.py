"""evaluate.py: every protocol on one small run, the digits of the training, and what is refused."""

import csv
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import Ended, command
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import spt
from spt.evaluation.protocols import PROTOCOLS
from spt.metrics import pcc
from spt.run.building import build

FEW = ["images=3", "baseline_pairs=24"]


def evaluate(run: Path, *arguments: str) -> Ended:
    return command("scripts/evaluate.py", f"run={run}", *arguments)


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small run, to write into."""
    return Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("evaluated") / "run"))


ARGUMENTS = {
    "splits": [],
    "seen": [],
    "unseen_diffuser": [],
    "unseen_class": [],
    "unseen_distance": ["values=[1e-3,1.2e-3]"],
    "unseen_grit": ["values=[1.75,1.5]"],
    "noise": ["values=[12.5,200]"],
}
"""Protocol to further arguments: two points of every curve are enough to see what it does."""


@pytest.fixture(scope="module")
def every(run: Path) -> dict[str, Ended]:
    """Every protocol but the slowest, once for all tests that read the results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPT_DATA", raising=False)
        return {name: evaluate(run, f"protocol={name}", *more, *FEW) for name, more in ARGUMENTS.items()}


def results(run: Path, name: str) -> dict:
    return json.loads((run / "evaluation" / name / "evaluation.json").read_text())


def test_every_command_ends_well_and_fits_the_terminal(run: Path, every: dict[str, Ended]):
    assert {path.name for path in (run / "evaluation").iterdir()} == set(every)
    for name, ended in every.items():
        assert (ended.code, ended.err) == (0, ""), name
        tables = [line for line in ended.out.splitlines() if "left out" not in line and not line.startswith("Tables,")]
        assert max(map(len, tables)) <= 100
        assert ended.out.startswith("Through trained diffusers"), name
    assert "mnist is left out: these objects are not part of the repository" in every["unseen_class"].out


@pytest.mark.parametrize(
    ("name", "points", "kinds"),
    [
        ("splits", 4, 1),
        ("seen", 2, 1),
        ("unseen_diffuser", 1, 2),
        ("unseen_class", 3, 2),
        ("unseen_distance", 2, 2),
        ("unseen_grit", 2, 2),
        ("noise", 2, 2),
    ],
)
def test_each_protocol_has_its_points_beside_the_baselines(
    run: Path, every: dict[str, Ended], name: str, points: int, kinds: int
):
    check_results(run, name, [name], points, kinds)


def check_results(run: Path, name: str, plans: list[str], points: int, kinds: int) -> None:
    """Look into the files of a protocol."""
    found, folder = results(run, name), run / "evaluation" / name
    assert list(found) == plans
    assert len(found[plans[0]]["points"]) == points
    for plan, content in found.items():
        for point in content["points"]:
            assert len(point["network"]) == kinds
            for kind, scores in point["network"].items():
                assert scores["pcc"]["mean"] is not None
                assert len(point["baselines"][kind]) == 5
        rows = list(csv.DictReader((folder / f"{plan}.csv").open()))
        assert {row["diffusers"] for row in rows} <= {"seen", "unseen"}
        assert (folder / f"{plan}.png").is_file() == bool(content["axis"])
    sheets = [path for path in (folder / "figures").iterdir() if "reliability" not in path.name]
    assert len(sheets) == kinds * sum(len(content["points"]) for content in found.values())


@pytest.mark.slow
def test_all_protocols_in_one_command(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPT_DATA", raising=False)
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    ended = evaluate(run, "protocol=all", *FEW)
    assert ended.code == 0, ended
    assert {path.name for path in (run / "evaluation").iterdir()} == set(PROTOCOLS)
    check_results(run, "memory_effect", ["object_shift", "diffuser_shift", "tilt"], 5, 2)
    check_results(run, "unseen_distance", ["unseen_distance"], 8, 2)
    for point in results(run, "memory_effect")["diffuser_shift"]["points"]:
        assert point["references"]["theory"]["sem"] == 0


def test_the_runs_own_scores_stay_and_the_protocols_are_added(tiny_run: Path, run: Path, every: dict[str, Ended]):
    before, after = (json.loads((path / "metrics.json").read_text()) for path in (tiny_run, run))
    protocols = after.pop("protocols")
    assert after == before
    assert {name: results(run, name) for name in every} == protocols
    for path in tiny_run.rglob("*"):
        if path.is_file() and path.name != "metrics.json":
            assert path.read_bytes() == (run / path.relative_to(tiny_run)).read_bytes(), path


def test_the_digits_are_those_of_training_and_of_predict(run: Path, every: dict[str, Ended]):
    points = {point["label"]: point["network"] for point in results(run, "splits")["splits"]["points"]}
    final = json.loads((run / "metrics.json").read_text())
    row = list(csv.DictReader((run / "metrics.csv").open()))[-1]
    net = spt.load(run)
    data = build(net.config.data)
    data.setup()
    for split in ("val_seen", "val_class", "val_unseen"):
        (scores,) = points[split].values()
        for metric, score in scores.items():
            assert score["mean"] == pytest.approx(final[split][metric]["mean"], abs=1e-6), (split, metric)
        assert scores["pcc"]["mean"] == pytest.approx(float(row[f"{split}/pcc"]), abs=1e-6)
        images = net(data.splits[split].speckle[:])
        expected = pcc(images[:, None], data.splits[split].images()).mean().item()
        assert scores["pcc"]["mean"] == pytest.approx(expected, abs=1e-6)
    assert points["test_seen"]["seen"]["pcc"]["mean"] == pytest.approx(final["test_seen"]["pcc"]["mean"], abs=1e-6)


def test_at_the_trained_value_every_curve_has_the_same_score(run: Path, every: dict[str, Ended]):
    (plain,) = results(run, "unseen_diffuser")["unseen_diffuser"]["points"]
    for name, value in (("unseen_distance", 1.0), ("unseen_grit", 1.75), ("noise", 200.0)):
        (point,) = [p for p in results(run, name)[name]["points"] if p["value"] == value]
        assert point["network"] == plain["network"], name


def test_a_second_evaluation_gives_the_same_bytes(run: Path, every: dict[str, Ended]):
    files = [run / "metrics.json", *(run / "evaluation/noise" / f"noise.{end}" for end in ("csv", "png"))]
    before = [path.read_bytes() for path in files]
    assert evaluate(run, "protocol=noise", *ARGUMENTS["noise"], *FEW).code == 0
    assert [path.read_bytes() for path in files] == before
    assert len(list((run / "evaluation/noise").glob("events*"))) == 1


def test_tensorboard_shows_curves_and_images(run: Path, every: dict[str, Ended]):
    (path,) = (run / "evaluation/unseen_distance").glob("events*")
    tags = EventAccumulator(str(path)).Reload().Tags()
    assert "unseen_distance/unseen_distance" in tags["images"]
    assert "unseen_distance/unseen_distance_1.2_mm_seen" in tags["images"]


def test_the_report_of_a_protocol_says_what_made_it(run: Path, every: dict[str, Ended]):
    text = (run / "evaluation/unseen_distance/report.md").read_text()
    assert text.startswith("## camera distance\n\nThrough trained diffusers: PCC")
    assert "| PCC, unseen diffusers: camera distance [mm] | images | SpTUNet | raw speckle |" in text
    assert "Time for an image: SpTUNet" in text
    assert f"SpTUNet of {run}." in text


# Other data -----------------------------------------------------------------------------------------------------------


def lab_file(path: Path, side: int = 32, **columns: np.ndarray) -> Path:
    """Recorded pairs: four of each split."""
    generator = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        splits = ["train", "val_seen", "test_unseen"]
        file.attrs.update(format="spt speckle set", version=1, complete=True, splits=splits)
        for number, split in enumerate(splits):
            file[f"{split}/speckle"] = generator.integers(1, 200, (4, side, side)).astype(np.uint8)
            file[f"{split}/target"] = (generator.random((4, side, side)) > 0.7).astype(np.uint8) * 255
            file[f"{split}/diffuser"] = np.full(4, number // 2)
            file[f"{split}/object"] = np.arange(4) + 4 * number
            for name, values in columns.items():
                file[f"{split}/{name}"] = values
    return path


def test_recorded_data_of_somebody_else(run: Path, tmp_path: Path):
    path, before = lab_file(tmp_path / "lab.h5"), (run / "metrics.json").read_bytes()
    ended = evaluate(run, "data=hdf5", f"data.source.path={path}", "baseline_pairs=24", f"out={tmp_path / 'out'}")
    assert ended.code == 0, ended
    assert "The network was not trained on these data" in ended.out
    assert ended.out.startswith("On other data, val_seen: PCC")
    assert "On other data, test_unseen: PCC" in " ".join(ended.out.split())
    folder = tmp_path / "out" / "splits_hdf5"
    found = json.loads((folder / "evaluation.json").read_text())["splits"]["points"]
    assert [point["label"] for point in found] == ["val_seen", "test_unseen", "rest"]
    assert found[2]["network"]["unseen"]["pcc"]["n"] == 4, "its train is as new to the network"
    with h5py.File(path) as file:
        frames, objects = file["test_unseen/speckle"][:], file["test_unseen/target"][:] / 255
    expected = pcc(torch.from_numpy(spt.load(run)(frames))[:, None], torch.from_numpy(objects).float()[:, None])
    assert [list(point["network"]) for point in found] == [["unseen"]] * 3, "val_seen is not seen here"
    assert {row["diffusers"] for row in csv.DictReader((folder / "splits.csv").open())} == {"unseen"}
    assert found[1]["network"]["unseen"]["pcc"]["mean"] == pytest.approx(expected.mean().item(), abs=1e-6)
    assert (run / "metrics.json").read_bytes() == before, "these scores are none of the run's own"
    assert sorted(path.name for path in (folder / "figures").glob("*n.png")) == ["test_unseen.png", "val_seen.png"]


def test_recorded_distances_are_a_curve_and_all_says_what_is_left_out(run: Path, tmp_path: Path):
    path = lab_file(tmp_path / "lab.h5", distance=np.array([0.01, 0.01, 0.02, 0.02]))
    other = ["data=hdf5", f"data.source.path={path}", "baseline_pairs=0", f"out={tmp_path / 'out'}"]
    ended = evaluate(run, "protocol=all", *other)
    assert ended.code == 0, ended
    assert ended.out.count("Left out: protocol=") == 5
    found = json.loads((tmp_path / "out/unseen_distance_hdf5/evaluation.json").read_text())["unseen_distance"]
    assert [point["value"] for point in found["points"]] == [10, 20] * 3
    assert {kind for point in found["points"] for kind in point["network"]} == {"unseen"}
    alone = evaluate(run, "protocol=noise", *other[:3], f"out={tmp_path / 'none'}")
    assert (alone.code, "protocol=noise changes the number of photoelectrons" in alone.err) == (2, True), alone
    assert not (tmp_path / "none").exists()


def test_another_simulated_set_has_unseen_diffusers_alone(run: Path, tmp_path: Path):
    other = ["data=weak_scatter", "data.source.setup.window=32", "data.source.setup.grid=112", "data.source.seed=7"]
    few = ["data.source.train=4", "data.source.validation=4", "values=[1e-3,1.2e-3]", f"out={tmp_path / 'out'}"]
    ended = evaluate(run, "protocol=unseen_distance", *other, *few, *FEW)
    assert ended.code == 0, ended
    found = json.loads((tmp_path / "out/unseen_distance_weak_scatter/evaluation.json").read_text())
    assert [list(point["network"]) for point in found["unseen_distance"]["points"]] == [["unseen"], ["unseen"]]
    assert "The network was not trained on these data." in ended.out


def test_the_runs_own_data_with_one_value_changed(run: Path, every: dict[str, Ended], tmp_path: Path):
    """Fewer photoelectrons by hand are those of the protocol."""
    before = (run / "metrics.json").read_bytes()
    arguments = ["protocol=unseen_diffuser", "data.source.camera.photoelectrons=12.5", *FEW, f"out={tmp_path / 'out'}"]
    ended = evaluate(run, *arguments)
    assert ended.code == 0, ended
    found = json.loads((tmp_path / "out/unseen_diffuser_changed/evaluation.json").read_text())
    curve = results(run, "noise")["noise"]["points"]
    assert found["unseen_diffuser"]["points"][0]["network"] == curve[0]["network"]
    assert found["unseen_diffuser"]["points"][0]["baselines"] == curve[0]["baselines"]
    assert (run / "metrics.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ("data.source.seed=7", ["unseen"]),
        ("data.source.train=20", ["seen", "unseen"]),
        ("data.source.setup.grid=128", ["unseen"]),
        ("data.source.camera.photoelectrons=50", ["seen", "unseen"]),
    ],
)
def test_no_diffuser_is_called_trained_that_a_change_drew_anew(
    run: Path, tmp_path: Path, change: str, kinds: list[str]
):
    arguments = ["protocol=unseen_diffuser", change, "images=3", "baseline_pairs=0", f"out={tmp_path / 'out'}"]
    ended = evaluate(run, *arguments)
    assert ended.code == 0, ended
    found = json.loads((tmp_path / "out/unseen_diffuser_changed/evaluation.json").read_text())
    assert list(found["unseen_diffuser"]["points"][0]["network"]) == kinds
    assert ("Through trained diffusers" in ended.out) == ("seen" in kinds)


def test_single_values_of_recorded_data_are_refused(tiny_run: Path, tmp_path: Path):
    """Another file under the run's own settings could be of other diffusers."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = OmegaConf.load(run / ".hydra/config.yaml")
    config.data.source = {"_target_": "spt.data.hdf5.SavedSpeckles", "path": str(lab_file(tmp_path / "own.h5"))}
    OmegaConf.save(config, run / ".hydra/config.yaml")
    other = lab_file(tmp_path / "other.h5")
    ended = evaluate(run, f"data.source.path={other}", f"out={tmp_path / 'out'}")
    assert (ended.code, "single values can be changed where spt simulates the data" in ended.err) == (2, True), ended
    assert not (tmp_path / "out").exists()


def test_phase_retrieval_where_the_optics_are_shift_invariant(run: Path, tmp_path: Path):
    optics = ["data=weak_scatter", "optics@data.source.setup=incoherent_simulated", "data.source.setup.window=32"]
    few = ["data.source.setup.psf.size=63", "data.source.train=4", "data.source.validation=4", *FEW]
    few.append(f"out={tmp_path / 'out'}")
    ended = evaluate(run, "protocol=unseen_diffuser", *optics, *few)
    assert ended.code == 0, ended
    folder = tmp_path / "out/unseen_diffuser_weak_scatter"
    (point,) = json.loads((folder / "evaluation.json").read_text())["unseen_diffuser"]["points"]
    assert point["baselines"]["unseen"]["phase retrieval"]["pcc"]["mean"] > 0.2
    assert "phase retrieval" in (folder / "report.md").read_text().split("Time for an image")[1]
    assert evaluate(run, "protocol=unseen_diffuser", *optics, *few, "phase_retrieval=false").code == 0
    assert "phase retrieval" not in (folder / "report.md").read_text()


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=null"], "run= is missing"),
        (["run=nowhere"], "is not a run with a trained network"),
        (["protocol=unseen"], "protocol must be one of splits, seen, unseen_diffuser, unseen_class, unseen_distance"),
        (["images=1"], "images must be 2 or more"),
        (["baseline_pairs=-1"], "baseline_pairs 0 or more"),
        (["values=[1e-3]"], "values= needs a curve"),
        (["protocol=noise", "values=3"], "values must be a list of positive numbers"),
        (["protocol=noise", "values=[3,-1]"], "values must be a list of positive numbers"),
        (["protocol=unseen_distance", "values=[1.0]"], "no value can be simulated. 1000 mm is left out"),
        (["protocol=unseen_grit", "values=[100]"], "no value can be simulated. 100 rad is left out"),
        (["device=nowhere"], "Choose cpu, cuda or mps"),
        (["data=hdf5"], "data.source.path is missing"),
        (["data=hdf5", "data.source.path=small.h5"], "frames of 16x16 px, but the network was trained on 32x32 px"),
        (["data=hdf5", "data.source.path=text.h5"], "text.h5 cannot be read as a data set"),
        (["data=folder"], "data.source.root is missing"),
        (["data.source.photons=3"], "data.source.photons=3: a continued run keeps its configuration files"),
        (["data.preparation.scale=set"], "decides what the network was trained on"),
        (["data.source.validation=0"], "data.source.validation must be at least 1"),
        (["data.source.unseen_diffusers=260"], "test_seen of these data would mix diffusers that trained the network"),
        (["data.source.objects.held_out=B"], "val_class would show classes that trained the network"),
        (["data=hdf5", "data.source.path=other.h5", "protocol=seen"], "all diffusers of these data are new to"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    lab_file(Path("small.h5"), side=16)
    lab_file(Path("other.h5"))
    Path("text.h5").write_text("text")
    run = [] if any(argument.startswith("run=") for argument in arguments) else [f"run={tiny_run}"]
    ended = command("scripts/evaluate.py", *run, *arguments, "out=o")
    assert (ended.code, message in ended.err) == (2, True), ended
    assert not Path("o").exists()


def test_training_pairs_in_other_data_are_found(run: Path, tmp_path: Path):
    """A laboratory's file that repeats frames which trained this network."""
    path, config = lab_file(tmp_path / "lab.h5"), OmegaConf.load(run / ".hydra/config.yaml")
    train = build(config.data)
    train.setup()
    with h5py.File(path, "r+") as file:
        file["val_seen/speckle"][:] = train.splits["train"].speckle[:4].numpy()
        file["val_seen/target"][:] = train.splits["train"].target[:4].numpy()
    ended = evaluate(run, "data=hdf5", f"data.source.path={path}", f"out={tmp_path / 'out'}")
    assert (ended.code, "the splits leak into each other" in ended.err) == (2, True), ended
    assert not (tmp_path / "out").exists()
