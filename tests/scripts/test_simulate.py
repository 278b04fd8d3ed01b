"""The command: a file, or one line that says why not; killed at any moment, it goes on to the same bits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from runpy import run_path

import h5py
import numpy as np
import pytest
import torch
from conftest import ROOT, TINY, composed
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader

from spt.data.hdf5_writer import write_set
from spt.errors import InvalidValue, MissingFile
from spt.run.building import build
from spt.run.command import explain

SMALL = [setting for setting in TINY if setting.startswith("data.source.")]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "simulate.py"), *arguments],
        env={k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def simulate(*arguments: str) -> None:
    """What the command does, in this process."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("simulate", list(arguments))
    run_path(str(ROOT / "scripts" / "simulate.py"))["simulate"](cfg)


def arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node[...]}) if isinstance(node, h5py.Dataset) else None)
    return found


def losses(data: object, model: torch.nn.Module, steps: int = 3) -> list[float]:
    """A few training steps on the first batches."""
    data.setup()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.linspace(-0.1, 0.1, weight.numel()).reshape(weight.shape))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader: DataLoader = data.train_dataloader()
    values = []
    for _, batch in zip(range(steps), loader, strict=False):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch["speckle"]), batch["target"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


def test_a_training_run_on_the_file_is_that_on_the_simulation(tmp_path, capsys):
    out = tmp_path / "a.h5"
    simulate(*SMALL, f"out={out}")
    assert "Pairs: train 24, val_seen 8, val_class 8, val_unseen 8" in capsys.readouterr().out
    on_the_fly = build(composed(*SMALL, "data.batch_size=8").data)
    from_file = build(composed("data=hdf5", f"data.source.path={out}", "data.batch_size=8").data)
    assert from_file.source.frame_size == (32, 32)
    first, second = (losses(data, build(composed("model.width=4").model)) for data in (on_the_fly, from_file))
    assert len(first) == 3
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], ValueError, "out= is missing"),
        (["out=a.h5", "data=real_220grit"], ValueError, "MeasuredDiffusers reads pairs that were recorded"),
        (["out=a.h5", "data.source.train=0"], InvalidValue, "data.source.train must be at least 1, got 0"),
        (["out=a.h5", "data=fibre", "data.source.setup.root=/nowhere"], MissingFile, "is not a folder"),
    ],
)
def test_what_cannot_be_written(monkeypatch, tmp_path, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        simulate(*arguments)
    assert len((explain(caught.value) or "").splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "a.h5").write_text("notes")
    with pytest.raises(FileExistsError, match=r"a.h5 exists already and holds something else"):
        simulate(*SMALL, f"out={tmp_path / 'a.h5'}")
    assert (tmp_path / "a.h5").read_text() == "notes"


LONG = ["data.source.train=1500", "data.source.setup.window=32", "data.source.setup.grid=112"]


def stopped(out: Path, number: int) -> int:
    """Start a long simulation and send it a signal once some chunks are written."""
    process = start(*LONG, f"out={out}")
    part, record = out.with_name(out.name + ".part"), 0
    deadline = time.monotonic() + 100
    while record < 192 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
        record = progress(part)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert not out.exists()
    assert part.exists()
    return process.returncode


def progress(part: Path) -> int:
    try:
        with h5py.File(part, "r", locking=False) as file:
            return int(file["done"][0])
    except (OSError, KeyError):
        return 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.h5"
    write_set(path, build(composed(*LONG).data).source)
    return arrays(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_at_any_moment_and_the_same_bits_after(tmp_path, uninterrupted, number, code):
    out = tmp_path / "a.h5"
    assert stopped(out, number) == code
    assert progress(tmp_path / "a.h5.part") >= 192
    write_set(out, build(composed(*LONG).data).source)
    again = arrays(out)
    assert again.keys() == uninterrupted.keys()
    assert all(np.array_equal(values, uninterrupted[name]) for name, values in again.items())


@pytest.mark.slow
def test_a_disk_that_is_full_from_the_start(tmp_path):
    """A limit on the size of files stands for the full disk: the system refuses to give the file its place."""
    command = (
        f"ulimit -f 1000; {sys.executable} {ROOT / 'scripts' / 'simulate.py'} {' '.join(LONG)} out={tmp_path / 'a.h5'}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("a.h5*"))
