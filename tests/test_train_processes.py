"""train.py in processes of its own: sweeps, launchers, signals, several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PLAIN, ROOT, TINY, one_convolution, train_py, wait_for_an_epoch
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow


def test_a_sweep_runs_every_combination_and_lists_the_failures(tmp_path: Path):
    done = train_py(
        "-m", *TINY, *PLAIN, "trainer.max_epochs=1", "model.width=4,6", "loss=dice,bce", f"hydra.sweep.dir={tmp_path}"
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
        "-m", *TINY, *PLAIN, "trainer.max_epochs=1", "model.width=4,6", "loss=dice,bce", f"hydra.sweep.dir={tmp_path}"
    )
    assert again.returncode == 1
    assert again.stdout.count("Finished already") == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/metrics.json")} == scores


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_other_processes_end_with_the_table(tmp_path: Path, launcher: str):
    done = train_py(
        "-m", *TINY, *PLAIN, "trainer.max_epochs=1", "seed=0,1", f"hydra/launcher={launcher}",
        f"hydra.sweep.dir={tmp_path}", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*/metrics.json"))) == 2
    assert "PCC val_seen" in done.stdout
    assert "Traceback" not in done.stderr


LONGER = [*TINY, *PLAIN, "data.source.train=320", "trainer.max_epochs=4", "deterministic=true"]
"""Long enough to be killed between its first epoch and its end."""

WITH_PICTURES = [setting for setting in LONGER if setting not in PLAIN]


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


@pytest.mark.parametrize(
    ("number", "code", "settings"),
    [
        (signal.SIGINT, 130, LONGER),
        (signal.SIGKILL, -9, WITH_PICTURES),
        (signal.SIGTERM, 143, [*LONGER, "data.cache=none", "data.workers=2"]),
    ],
)
def test_a_killed_run_continues_to_the_same_weights(
    calm: Path, tmp_path: Path, number: int, code: int, settings: list[str]
):
    """Killed for real in its second epoch or later, then continued: bit-equal to one that was left alone.

    The one that is killed may read its files in worker processes; the one that is left alone has all in memory.
    """
    hurt = tmp_path / "hurt"
    returned, output = stopped(hurt, number, settings)
    assert returned == code, output
    if number != signal.SIGKILL:
        assert f"continue with: python train.py run={hurt}" in output
        assert "Traceback" not in output
    torch.load(hurt / "checkpoints" / "last.ckpt", weights_only=True)
    again = train_py(f"run={hurt}")
    assert again.returncode == 0, again.stderr
    assert_same(calm, hurt)


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


def test_two_nodes_train_the_weights_of_one_process(tmp_path: Path):
    """torchrun on two nodes, both of this machine, with half of the batch each; BatchNorm would see that half alone."""
    tiny = [setting for setting in TINY if not setting.startswith(("data.batch_size", "model."))]
    settings = [*one_convolution(tmp_path), *tiny, *PLAIN]
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
