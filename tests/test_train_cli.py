"""train.py as a user runs it: what it prints and its exit code."""

import json
import math
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import PLAIN, ROOT, TINY, command, train_py

from spt.data.hdf5 import FORMAT, VERSION


def test_help_is_quick_to_import_and_lists_the_choices():
    code = (
        "import runpy, sys\n"
        "sys.argv = ['train.py', '--help']\n"
        "try: runpy.run_path('train.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code)\n"
        "print([m for m in ('torch', 'lightning', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for group in ("model", "loss", "head", "experiment"):
        options = sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))
        assert f"{group}: {', '.join(options)}" in done.stdout
    assert done.stdout.rstrip().endswith("[]"), "--help must not pay for torch"


def test_two_epochs_then_two_more(tmp_path: Path):
    folder = tmp_path / "0_loss=dice,seed=1"
    done = command("train.py", *TINY, "~callbacks", "~logger", f"hydra.run.dir={folder}")
    assert done.code == 0, done.err
    for text in ("Device: cpu", "epoch 1: train/loss", "linear ridge", "val_unseen", "Pictures: "):
        assert text in done.out + done.err, text
    again = command("train.py", f"run={folder}", "trainer.max_epochs=4")
    assert again.code == 0, again.err
    assert "epoch 3:" in again.out + again.err
    assert "epoch 1:" not in again.out + again.err
    assert len((folder / "metrics.csv").read_text().splitlines()) == 5
    assert json.loads((folder / "metrics.json").read_text())["run"]["epochs"] == 4
    taken = command("train.py", *TINY, f"hydra.run.dir={folder}")
    assert taken.code == 2
    assert f"holds a run already. Continue it with run='{folder}'" in taken.err


WIDE = [setting for setting in TINY if not setting.startswith("model.")]
"""TINY for networks that have no width."""


@pytest.mark.slow
def test_deep_speckle_trains_with_cross_entropy_and_its_own_decay(tmp_path: Path):
    done = command(
        "train.py", *WIDE, *PLAIN, "model=deep_speckle", "loss=ce", "optimizer=adam", f"hydra.run.dir={tmp_path}"
    )
    assert done.code == 0, done.err
    final = json.loads((tmp_path / "metrics.json").read_text())
    assert final["run"]["network"] == "DeepSpeckle"
    assert final["run"]["parameters"] == 21850530
    assert final["run"]["epochs"] == 2
    for split in ("val_seen", "val_class", "val_unseen"):
        assert all(math.isfinite(value["mean"]) for value in final[split].values())
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert [group["weight_decay"] for group in last["optimizer_states"][0]["param_groups"]] == [2e-4, 0.0]


@pytest.mark.slow
def test_a_finished_runs_network_and_the_share_of_light_start_another(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    done = command("train.py", *TINY, *PLAIN, "trainer.max_epochs=1", f"hydra.run.dir={first}")
    assert done.code == 0, done.err
    best = first / "checkpoints" / "best.ckpt"
    start = [*TINY, *PLAIN, "trainer.max_epochs=1", f"weights={best}"]
    again = command("train.py", *start, "output_prior=data", f"hydra.run.dir={second}")
    assert again.code == 0, again.err
    assert (second / "metrics.json").is_file()
    other = command("train.py", *TINY, "model.width=8", f"weights={best}", f"hydra.run.dir={tmp_path / 'third'}")
    assert other.code == 2
    assert f"{best} does not hold the weights of this SpTUNet" in other.err
    assert "Traceback" not in other.err


# Bad input: one clear error, exit code 2, nothing trained -----------------------------------------------------------


def refused(tmp_path: Path, *arguments: str) -> str:
    done = command("train.py", *TINY, f"hydra.run.dir={tmp_path / 'run'}", *arguments)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    message = [line for line in done.err.splitlines() if line.startswith("Error:")]
    assert len(message) == 1, done.err
    assert not (tmp_path / "run" / "metrics.json").exists()
    return done.err[done.err.index("Error:") :]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that no other test has written to."""
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_unknown_option_is_hydras_own_error():
    done = train_py("loss=dise")
    assert done.returncode == 1
    assert "dice" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.source.setup.window=36", "data.source.setup.grid=112"], "multiples of 8, got 36x36"),
        (["data.source.train=0"], "data.source.train must be at least 1"),
        (
            ["loss=ce", "head=binary"],
            "Error: CELoss does not go with head=binary; it goes with head=two_class or",
        ),
        (["weights=/nowhere.ckpt"], "Error: /nowhere.ckpt: no such file.\n"),
        (["output_prior=abc"], "output_prior must be a number between 0 and 1, `data` or null, got 'abc'."),
        (["output_prior=2"], "output_prior must lie between 0 and 1, got 2.0."),
        (["data.batch_size=many"], "Error: data.batch_size must be int, got 'many'."),
        (["trainer.max_epochs=two"], "Error: trainer.max_epochs must be int or null, got 'two'."),
        (
            ["trainer.precision=64-true"],
            "64-true is not supported. Use 32-true, bf16-mixed, 16-mixed.",
        ),
        (["trainer.precision=16-mixed"], "trainer.precision=16-mixed needs a GPU. Use bf16-mixed or 32-true"),
        (["+trainer.sync_batchnorm=true"], "trainer.sync_batchnorm=true needs GPUs"),
        (["trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2"], "nothing says where the other nodes are"),
        (["optimizer.lr=0"], "optimizer.lr=0 trains nothing"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0 trains nothing"),
        (["trainer.max_epochs=-1", "+trainer.max_time=00:00:00:04"], "gives the learning rate's schedule no end"),
        (["+trainer.check_val_every_n_epoch=5"], "check_val_every_n_epoch=5 never validates in trainer.max_epochs=2"),
        (["optimizer.lr=-1"], "Invalid learning rate: -1"),
        (["+model.depth=3"], "Error: model.depth: SpTUNet has no such argument."),
        (["data=real_220grit", "data.source.root=/nowhere/real"], "/nowhere/real is not a folder"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    tmp_path: Path, own_cache: Path, arguments: list[str], message: str
):
    data = [a for a in TINY if not (arguments[0] == "data=real_220grit" and a.startswith("data.source."))]
    done = command("train.py", *data, f"hydra.run.dir={tmp_path / 'run'}", *arguments)
    assert done.code == 2, done.err
    assert message in done.err
    assert done.err.count("Error:") == 1
    assert "Traceback" not in done.err
    assert not own_cache.exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("name", ["val_seen/pc", "val_unseen/pcc"])
def test_a_monitor_that_cannot_choose_is_refused_before_training(tmp_path: Path, name: str):
    assert f"monitor.name={name} is no value that can choose the epoch. There are" in refused(
        tmp_path, f"monitor.name={name}"
    )
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_measured_data_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPT_DATA", raising=False)
    done = command("train.py", "data=real_220grit", f"hydra.run.dir={tmp_path}")
    assert done.code == 2
    assert "Set the environment variable SPT_DATA" in done.err


def test_truncated_cache_file(tmp_path: Path, own_cache: Path):
    bare = ["trainer.max_epochs=1", *PLAIN]
    assert command("train.py", *TINY, *bare, f"hydra.run.dir={tmp_path / 'a'}").code == 0
    (file,) = own_cache.glob("simulated-*.h5")
    file.write_bytes(file.read_bytes()[:5000])
    text = refused(tmp_path)
    assert file.name in text
    assert "truncated" in text


def set_with_a_bad_frame(folder: Path, split: str) -> Path:
    """A set of floats of 16 px as an HDF5 file; frame 3 of the split holds a negative value."""
    path = folder / "set.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "complete": True, "splits": ["train", "val_seen"]})
        for name in ("train", "val_seen"):
            frames = np.random.default_rng(0).random((16, 16, 16), np.float32)
            file[f"{name}/target"] = (255 * (frames > 0.8)).astype(np.uint8)
            frames[3, 0, 0] = -1 if name == split else 0
            file[f"{name}/speckle"] = frames
            file[f"{name}/diffuser"] = np.arange(16)
    return path


@pytest.mark.parametrize(("split", "workers"), [("train", 2), ("val_seen", 2), ("train", 0)])
def test_a_bad_frame_that_is_met_in_training_ends_in_one_line(tmp_path: Path, split: str, workers: int):
    """What a worker process finds is said in the words of the reader, not with the traceback of the worker."""
    path = set_with_a_bad_frame(tmp_path, split)
    done = command(
        "train.py", "data=hdf5", f"data.source.path={path}", f"data.workers={workers}", "data.cache=none",
        "data.batch_size=8", "model.width=4", "trainer=cpu", "trainer.max_epochs=1", "baseline_pairs=0",
        "~callbacks", "~logger", f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    assert done.code == 2, done.err
    error = done.err[done.err.index("Error:") :]
    assert error == (
        f"Error: {path}:{split}/speckle[3] (counted from 0): the speckle holds NaN, infinity or negative intensities. "
        "Leave these frames out, or set negative values to 0.\n"
    )
    assert "Traceback" not in done.err + done.out


def test_device_that_is_not_there(tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "Choose trainer=auto or trainer=cpu" in refused(tmp_path, "trainer.accelerator=gpu")


def test_no_write_permission(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.touch()
    done = command("train.py", *TINY, f"hydra.run.dir={blocked / 'run'}")
    assert done.code == 2
    assert f"cannot write to {blocked / 'run'}" in done.err
    assert "Traceback" not in done.err


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "file" / "cache"))
    text = refused(tmp_path)
    assert "cannot write" in text


def test_run_that_is_not_there(tmp_path: Path):
    done = command("train.py", f"run={tmp_path / 'nothing'}")
    assert done.code == 2
    assert "config.yaml is not there" in done.err
    assert not (tmp_path / "nothing").exists()


def test_a_refused_run_leaves_no_folder(tmp_path: Path):
    (tmp_path / "other.txt").touch()
    for arguments in (["data.batch_size=0"], ["+max_epochs=1"]):
        ended = command("train.py", *TINY, *arguments, f"hydra.run.dir={tmp_path / 'outputs' / 'day' / 'run'}")
        assert ended.code == 2, ended.err
        (tmp_path / "outputs").rmdir()
        assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    assert command("train.py", *TINY, "data.batch_size=0", f"hydra.run.dir={kept}").code == 2
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]


def test_a_name_that_is_the_end_of_an_option_is_explained_and_cannot_be_added(tmp_path: Path):
    ended = command("train.py", "max_epochs=1", f"hydra.run.dir={tmp_path / 'run'}")
    assert ended.code == 1
    assert "Hint: max_epochs is no option. Did you mean trainer.max_epochs?" in ended.err
    ended = command("train.py", *TINY, "+max_epochs=1", f"hydra.run.dir={tmp_path / 'run'}")
    assert "+max_epochs: there is no such option. Options stand in seed, run," in ended.err


OWN_LOSS = """
import torch

class OwnLoss(torch.nn.Module):
    def __init__(self, check):
        super().__init__()

    def forward(self, logits, target):
        return {}["smooth"]  # a fault of its author
"""


def test_a_fault_in_a_loss_of_ones_own_shows_its_line(tmp_path: Path):
    (tmp_path / "own_loss.py").write_text(OWN_LOSS)
    done = train_py(
        *TINY,
        "loss=bce",
        "loss._target_=own_loss.OwnLoss",
        f"hydra.run.dir={tmp_path / 'run'}",
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 1
    assert 'return {}["smooth"]  # a fault of its author' in done.stderr
    assert "KeyError: 'smooth'" in done.stderr


@pytest.mark.parametrize("switched_off", [("logger=null", "callbacks=null"), ("~logger", "~callbacks")])
def test_loggers_and_callbacks_can_be_switched_off(tmp_path: Path, switched_off: tuple[str, str]):
    done = command("train.py", *TINY, "trainer.max_epochs=1", *switched_off, f"hydra.run.dir={tmp_path}")
    assert done.code == 0, done.err
    assert (tmp_path / "metrics.json").is_file()
    assert not (tmp_path / "tensorboard").exists()
