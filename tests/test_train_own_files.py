"""train.py on files of a laboratory, as they lie there."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import command
from recordings import write, write_pairs

SETTINGS = [
    "data.batch_size=4",
    "model.width=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "~callbacks",
    "~logger",
]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Two diffusers, ten objects, 32 px: blurred objects are the speckles, so that there is something to learn."""
    rng = np.random.default_rng(0)
    for k in range(1, 11):
        target = np.kron(rng.integers(0, 2, (8, 8)), np.ones((4, 4))).astype(np.uint8) * 255
        write(tmp_path / "lab" / "label" / f"lb_{k}.png", target)
        for d in (1, 2):
            speckle = (target // 2 + rng.integers(0, 100, (32, 32))).astype(np.uint16) * 16
            write(tmp_path / "lab" / "speckle" / f"220grit{d}" / f"sp_{k}.tif", speckle)
    return tmp_path / "lab"


def test_a_folder_trains(lab: Path, tmp_path: Path):
    done = command(
        "train.py", "data=folder", f"data.source.root={lab}", "data.source.split.validation=0.2",
        "data.source.split.unseen_diffusers=[2]", *SETTINGS, f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    said = done.out + done.err
    assert "Found 20 pairs of 10 objects: speckles of 32x32 px (uint16), objects of 32x32 px." in said
    assert said.count("Found 20 pairs") == 1
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {name: scores[name]["pcc"]["n"] for name in ("val_seen", "test_unseen")} == {"val_seen": 2, "test_unseen": 2}


def test_arrays_train(tmp_path: Path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", s=rng.random((12, 32, 32)), t=rng.integers(0, 2, (12, 16, 16), dtype=np.uint8))
    done = command(
        "train.py", "data=arrays", f"data.source.speckle={tmp_path}/x.npz:s", f"data.source.target={tmp_path}/x.npz:t",
        "data.source.split.test=2", *SETTINGS, f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {name: scores[name]["pcc"]["n"] for name in ("val_seen", "test_seen")} == {"val_seen": 1, "test_seen": 2}


def test_a_speckle_without_a_target_ends_in_one_line(tmp_path: Path):
    write_pairs(tmp_path, "speckle/{}.png", "label/{}.png", range(3))
    (tmp_path / "label" / "1.png").unlink()
    done = command(
        "train.py", "data=folder", f"data.source.root={tmp_path}", *SETTINGS, f"hydra.run.dir={tmp_path}/run"
    )
    assert done.code == 2
    assert "1 speckle without a target" in done.err
    assert "Traceback" not in done.err


def test_a_continued_run_keeps_its_pairs_and_their_preparation(lab: Path, tmp_path: Path):
    """An object that trained must not choose the epoch later, and weights see frames as they were trained on them."""
    run = tmp_path / "run"
    started = command(
        "train.py", "data=folder", f"data.source.root={lab}", "data.source.split.validation=0.2", *SETTINGS,
        f"hydra.run.dir={run}",
    )  # fmt: skip
    assert started.code == 0, started.err
    before = (run / ".hydra/config.yaml").read_bytes()
    for change in ("data.preparation.geometry.binning=2", "data.source.split.validation=0.5"):
        ended = command("train.py", f"run={run}", change, "trainer.max_epochs=2")
        assert ended.code == 2
        assert "decides what the network was trained on" in ended.err
    (lab / "label/lb_3.png").unlink()
    for d in (1, 2):
        (lab / f"speckle/220grit{d}/sp_3.tif").unlink()
    ended = command("train.py", f"run={run}", "trainer.max_epochs=2")
    assert ended.code == 2, ended
    assert "the pairs of train" in ended.err
    assert "are not those that this run began with" in ended.err
    assert (run / ".hydra/config.yaml").read_bytes().replace(b"max_epochs: 2", b"max_epochs: 1") == before


@pytest.mark.parametrize(("objects", "choice"), [((80, 100), 0), ((80, 100), 1), ((28, 28), 0)])
def test_sizes_that_do_not_fit_end_in_one_message_whose_settings_train(tmp_path: Path, objects, choice: int):
    """Frames of 80x100 px suit neither the network (multiples of 8) nor square objects."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "s.npy", rng.integers(0, 4000, (12, 80, 100), dtype=np.uint16))
    np.save(tmp_path / "t.npy", rng.integers(0, 256, (12, *objects), dtype=np.uint8))
    start = [
        "train.py", "data=arrays", f"data.source.speckle={tmp_path}/s.npy", f"data.source.target={tmp_path}/t.npy",
        "baseline_pairs=0", *SETTINGS, f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    refused = command(*start)
    assert refused.code == 2
    assert "multiples of 8, got 80x100" in refused.err
    assert ("another ratio" in refused.err) == (objects == (28, 28))
    said = refused.err.partition("Settings that work: ")[2]
    settings = [word for word in said.split("; or ")[choice].split() if word.startswith("data.")]
    assert settings
    done = command(*start, *settings)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((32, 32), 7, np.uint16), "constant, every pixel is 7"),
        (np.full((32, 32), np.nan, np.float32), "100.00% of the pixels are NaN or infinite"),
    ],
)
def test_a_bad_frame_is_named_before_the_first_epoch(lab: Path, tmp_path: Path, pixels: np.ndarray, said: str):
    for file in (lab / "speckle").rglob("*.tif"):
        write(file, pixels if file.stem == "sp_4" else tifffile.imread(file).astype(pixels.dtype))
    done = command(
        "train.py", "data=folder", f"data.source.root={lab}", "data.source.split.unseen_diffusers=[2]", *SETTINGS,
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 2
    assert "sp_4.tif" in done.err
    assert said in done.err
    assert "epoch" not in done.out + done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "settings",
    [
        ["data.preparation.scale=set"],
        ["data.preparation.correction.background=mean"],
        ["data.preparation.correction.flat=envelope", "data.preparation.scale=set"],
    ],
)
def test_a_frame_with_nan_is_named_where_training_frames_decide_the_preparation(lab: Path, tmp_path: Path, settings):
    """Their mean is NaN, and that must not be taken for something else."""
    for file in (lab / "speckle").rglob("*.tif"):
        pixels = tifffile.imread(file).astype(np.float32)
        write(file, pixels * np.nan if file.stem == "sp_4" else pixels)
    done = command(
        "train.py", "data=folder", f"data.source.root={lab}", "data.source.split.validation=0.2", "leaks=off",
        *settings, *SETTINGS, f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 2
    assert "sp_4.tif): 100.00% of the pixels are NaN or infinite. Mend the file" in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("leaks", ["error", "off"])
def test_a_background_that_leaves_no_light_is_refused(lab: Path, tmp_path: Path, leaks: str):
    done = command(
        "train.py", "data=folder", f"data.source.root={lab}", "data.preparation.correction.background=60000",
        f"leaks={leaks}", *SETTINGS, f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 2
    assert "data.preparation.correction.background=60000 leaves no light in the training frames" in done.err
    assert "Set a lower background, or null." in done.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_exchanged_folders_are_said_before_the_first_epoch(lab: Path, tmp_path: Path):
    done = command(
        "train.py", "data=folder", f"data.source.root={lab}", 'data.source.speckle="label/lb_{number}.png"',
        'data.source.target="speckle/220grit1/sp_{number}.tif"', *SETTINGS, "baseline_pairs=0",
        f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 0, done.err
    said = done.out + done.err
    assert "The two may be exchanged" in said
    assert said.index("The two may be exchanged") < said.index("Network:")
