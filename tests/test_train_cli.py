"""train.py as a user runs it: what it prints and its exit code; signals and several jobs in processes of their own."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import ROOT, TINY, command, one_convolution, train_py, wait_for_an_epoch
from omegaconf import OmegaConf

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


@pytest.mark.slow
def test_a_sweep_runs_every_combination_and_lists_the_failures(tmp_path: Path):
    done = train_py(
        "-m", *TINY, "trainer.max_epochs=1", "model.width=4,6", "loss=dice,bce", f"hydra.sweep.dir={tmp_path}"
    )
    assert done.returncode == 1
    finished = [OmegaConf.load(p.parent / ".hydra" / "config.yaml") for p in tmp_path.glob("*/metrics.json")]
    assert [cfg.model.width for cfg in finished] == [4, 4]
    assert {cfg.loss._target_ for cfg in finished} == {"spt.losses.DiceLoss", "spt.losses.BCELoss"}
    assert len(list(tmp_path.glob("*/.hydra"))) == 4
    assert "Failed jobs:" in done.stderr
    assert done.stderr.count("model: width must be a positive multiple") >= 2
    assert "Traceback" not in done.stderr
    assert "| loss | parameters | s | PCC val_seen" in done.stdout
    scores = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.json")}
    again = train_py(
        "-m", *TINY, "trainer.max_epochs=1", "model.width=4,6", "loss=dice,bce", f"hydra.sweep.dir={tmp_path}"
    )
    assert again.returncode == 1
    assert again.stdout.count("Finished already") == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.json")} == scores


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_other_processes_end_with_the_table(tmp_path: Path, launcher: str):
    done = train_py(
        "-m", *TINY, "trainer.max_epochs=1", "seed=0,1", f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path}",
        OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*/metrics.json"))) == 2
    assert "PCC val_seen" in done.stdout
    assert "Traceback" not in done.stderr


WIDE = [setting for setting in TINY if not setting.startswith("model.")]
"""TINY for networks that have no width."""


@pytest.mark.slow
def test_deep_speckle_trains_with_cross_entropy_and_its_own_decay(tmp_path: Path):
    done = command("train.py", *WIDE, "model=deep_speckle", "loss=ce", "optimizer=adam", f"hydra.run.dir={tmp_path}")
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
    done = command("train.py", *TINY, "trainer.max_epochs=1", f"hydra.run.dir={first}")
    assert done.code == 0, done.err
    best = first / "checkpoints" / "best.ckpt"
    start = [*TINY, "trainer.max_epochs=1", f"weights={best}"]
    again = command("train.py", *start, "output_prior=data", f"hydra.run.dir={second}")
    assert again.code == 0, again.err
    assert (second / "metrics.json").is_file()
    other = command("train.py", *TINY, "model.width=8", f"weights={best}", f"hydra.run.dir={tmp_path / 'third'}")
    assert other.code == 2
    assert f"{best} does not hold the weights of this SpTUNet" in other.err
    assert "Traceback" not in other.err


LONGER = [*TINY, "data.source.train=320", "trainer.max_epochs=3", "deterministic=true"]
"""Long enough to be killed between its first epoch and its end."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody killed."""
    folder = tmp_path_factory.mktemp("calm")
    assert train_py(*LONGER, f"hydra.run.dir={folder}").returncode == 0
    return folder


def stopped(folder: Path, number: int, settings: list[str], more: dict[str, str] | None = None) -> tuple[int, str]:
    """Start a run, send it a signal in its second epoch or later; its exit code and what it printed."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *settings, f"hydra.run.dir={folder}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | (more or {}),
    ) as process:  # fmt: skip
        wait_for_an_epoch(folder, process)
        process.send_signal(number)
        output = process.communicate(timeout=120)[0]
    assert not (folder / "metrics.json").exists(), "the run was over before it was stopped: make it longer"
    return process.returncode, output


def assert_same(calm: Path, hurt: Path) -> None:
    """Two runs have the same weights and scores, bit by bit."""
    states = [torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for f in (calm, hurt)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    scores = [json.loads((f / "metrics.json").read_text()) for f in (calm, hurt)]
    assert scores[0]["val_seen"] == scores[1]["val_seen"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "loading"),
    [
        (signal.SIGINT, 130, []),
        (signal.SIGTERM, 143, []),
        (signal.SIGKILL, -9, []),
        (signal.SIGTERM, 143, ["data.cache=none", "data.workers=2"]),
    ],
)
def test_a_killed_run_continues_to_the_same_weights(
    calm: Path, tmp_path: Path, number: int, code: int, loading: list[str]
):
    """Killed for real in its second epoch or later, then continued: bit-equal to one that was left alone.

    The one that is killed may read its files in worker processes; the one that is left alone has all in memory.
    """
    hurt = tmp_path / "hurt"
    returned, output = stopped(hurt, number, [*LONGER, *loading])
    assert returned == code, output
    if number != signal.SIGKILL:
        assert f"continue with: python train.py run={hurt}" in output
        assert "Traceback" not in output
    torch.load(hurt / "checkpoints" / "last.ckpt", weights_only=True)
    again = train_py(f"run={hurt}")
    assert again.returncode == 0, again.stderr
    assert_same(calm, hurt)


@pytest.mark.slow
def test_a_job_of_slurm_queues_itself_again_and_goes_on(calm: Path, tmp_path: Path):
    """USR1 in its second epoch or later; then the same command, as SLURM starts it again."""
    called, hurt = tmp_path / "called", tmp_path / "hurt"
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    (tmp_path / "scontrol").chmod(0o755)
    slurm = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "77", "SLURM_PROCID": "0"}
    code, output = stopped(hurt, signal.SIGUSR1, LONGER, slurm)
    assert code == 128 + signal.SIGUSR1, output
    assert "Job 77 is queued again." in output
    assert "Traceback" not in output
    assert called.read_text() == "requeue 77\n"
    again = train_py(*LONGER, f"hydra.run.dir={hurt}", **slurm, SLURM_RESTART_COUNT="1")
    assert again.returncode == 0, again.stderr
    assert "epoch 0:" not in again.stdout
    assert_same(calm, hurt)


@pytest.mark.slow
def test_a_job_that_submitit_stops_is_queued_again_by_it_and_goes_on(calm: Path, tmp_path: Path):
    hurt, sweep = tmp_path / "0_seed-0", tmp_path
    settings = ["-m", *LONGER, "seed=0", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=20"]
    with subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *settings, f"hydra.sweep.dir={sweep}", "hydra.sweep.subdir=0_seed-0"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ,
    ) as process:  # fmt: skip
        wait_for_an_epoch(hurt, process)
        jobs = subprocess.run(
            ["pgrep", "-f", f"submitit.core._submit {sweep}"], capture_output=True, text=True, check=True
        )
        for job in jobs.stdout.split():
            os.kill(int(job), signal.SIGUSR2)
        output = process.communicate(timeout=240)[0]
    assert process.returncode == 0, output
    said = "".join(path.read_text() for path in (sweep / ".submitit").rglob("*_log.*"))
    assert "Requeued job" in said, said
    assert "PCC val_seen" in output
    assert_same(calm, hurt)


@pytest.mark.slow
def test_two_nodes_train_the_weights_of_one_process(tmp_path: Path):
    """torchrun on two nodes, both of this machine, with half of the batch each; BatchNorm would see that half alone."""
    settings = [setting for setting in WIDE if not setting.startswith("data.batch_size")]
    settings = [
        *one_convolution(tmp_path),
        *settings,
        "~callbacks",
        "~logger",
        "baseline_pairs=0",
    ]
    one, two = tmp_path / "one", tmp_path / "two"
    alone = train_py(*settings, "data.batch_size=8", f"hydra.run.dir={one}")
    assert alone.returncode == 0, alone.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ddp = ["trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", "data.batch_size=4", f"hydra.run.dir={two}"]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1",
             "--master-addr=127.0.0.1", f"--master-port={port}", str(ROOT / "train.py"), *settings, *ddp],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    said = [node.communicate(timeout=240)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "processes 2" in said[0]
    states = [torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for f in (one, two)]
    assert states[0].keys() == states[1].keys()
    for name, weights in states[0].items():
        torch.testing.assert_close(states[1][name], weights, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_processes_score_like_one(tmp_path: Path):
    """`trainer=ddp` on two CPU processes: metrics over 9 images a split, which two processes do not share evenly."""
    done = train_py(
        *TINY, "trainer=ddp", "trainer.devices=2", "data.source.validation=9", "data.batch_size=4",
        "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    final = json.loads((tmp_path / "metrics.json").read_text())
    last = (tmp_path / "metrics.csv").read_text().splitlines()
    row = dict(zip(last[0].split(","), last[-1].split(","), strict=True))
    for name in ("pcc", "ssim", "ji", "psnr", "dice", "mse", "recall", "ece"):
        assert float(row[f"val_seen/{name}"]) == pytest.approx(final["val_seen"][name]["mean"], rel=1e-4, abs=1e-5)


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
    bare = ["trainer.max_epochs=1", "~callbacks", "~logger", "baseline_pairs=0"]
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


@pytest.mark.parametrize("switched_off", ["logger=null", "~logger", "callbacks=null"])
def test_loggers_and_callbacks_can_be_switched_off(tmp_path: Path, switched_off: str):
    done = command("train.py", *TINY, "trainer.max_epochs=1", switched_off, f"hydra.run.dir={tmp_path}")
    assert done.code == 0, done.err
    assert (tmp_path / "metrics.json").is_file()
    assert (tmp_path / "tensorboard").exists() == (switched_off == "callbacks=null")
