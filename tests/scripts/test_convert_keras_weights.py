"""The converter as a command: a checkpoint that loads, or one line that says why not."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch
from conftest import ROOT
from torch import nn

from spt.models import DeepSpeckle
from spt.training.initial import load_weights


def convert(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "convert_keras_weights.py"), str(source), str(target)],
        env={k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def model() -> DeepSpeckle:
    """A network whose statistics are not the identity."""
    model = DeepSpeckle()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def write_keras_2(model: DeepSpeckle, path: Path) -> Path:
    names, count = [], {"conv2d": 0, "batch_normalization": 0}
    with h5py.File(path, "w") as file:
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                kind, arrays = "conv2d", {"kernel": module.weight.permute(2, 3, 1, 0), "bias": module.bias}
            elif isinstance(module, nn.BatchNorm2d):
                kind, arrays = "batch_normalization", {"gamma": module.weight, "beta": module.bias}
                arrays |= {"moving_mean": module.running_mean, "moving_variance": module.running_var}
            else:
                continue
            count[kind] += 1
            names.append(f"{kind}_{count[kind]}")
            group = file.create_group(names[-1])
            group.attrs["weight_names"] = [f"{names[-1]}/{array}:0".encode() for array in arrays]
            for array, tensor in arrays.items():
                group[f"{names[-1]}/{array}:0"] = tensor.detach().numpy()
        file.attrs["layer_names"] = [name.encode() for name in names]
    return path


def one_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_checkpoint_loads_strictly_and_holds_every_number(tmp_path, model):
    source, target = write_keras_2(model, tmp_path / "in.h5"), tmp_path / "new" / "out.ckpt"
    done = convert(source, target)
    assert done.returncode == 0, done.stderr
    assert f"{target}: 222 arrays, 21,873,506 numbers." in done.stdout
    assert f"python train.py model=deep_speckle loss=ce weights={target}" in done.stdout
    assert list(target.parent.iterdir()) == [target]
    loaded = DeepSpeckle()
    load_weights(loaded, target)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    source.unlink()
    target.unlink()


def test_an_existing_target_is_left_untouched(tmp_path):
    target = tmp_path / "out.ckpt"
    target.write_bytes(b"mine")
    (tmp_path / "in.h5").write_text("weights")
    one_line(convert(tmp_path / "in.h5", target), f"{target} exists already. Name another file or remove it.")
    assert target.read_bytes() == b"mine"


def test_a_missing_source(tmp_path):
    one_line(convert(tmp_path / "in.h5", tmp_path / "out.ckpt"), f"{tmp_path / 'in.h5'}: no such file.")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_hdf5_leaves_no_target(tmp_path):
    (tmp_path / "in.h5").write_text("weights")
    one_line(convert(tmp_path / "in.h5", tmp_path / "out.ckpt"), f"{tmp_path / 'in.h5'} is no HDF5 file.")
    assert [path.name for path in tmp_path.iterdir()] == ["in.h5"]


def test_a_target_that_cannot_be_written(tmp_path, model):
    source = write_keras_2(model, tmp_path / "in.h5")
    one_line(convert(source, source / "out.ckpt"), "cannot write")
    assert list(tmp_path.iterdir()) == [source]
    source.unlink()
