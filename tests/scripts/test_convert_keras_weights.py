"""The converter as a command: a checkpoint that loads, or one line that says why not."""

import sys
from pathlib import Path

import h5py
import pytest
import torch
from conftest import ROOT, command, composed
from hydra.utils import instantiate
from torch import nn

from spt.models import DeepSpeckle
from spt.training.initial import load_weights

sys.path.insert(0, str(ROOT / "scripts"))
from convert_keras_weights import convert_file


@pytest.fixture(scope="module")
def model() -> DeepSpeckle:
    """A network whose statistics are not the identity."""
    torch.manual_seed(0)
    model = DeepSpeckle()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


@pytest.fixture(scope="module")
def source(model, tmp_path_factory) -> Path:
    """Its weights as Keras 2 writes them."""
    path = tmp_path_factory.mktemp("keras") / "in.h5"
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
    yield path
    path.unlink()


def test_the_checkpoint_loads_strictly_and_the_printed_command_prepares_as_it_was_trained(
    tmp_path, model, source, capsys
):
    target = tmp_path / "new" / "out.ckpt"
    convert_file(source, target)
    said = capsys.readouterr().out
    assert f"{target}: 222 arrays, 21,873,506 numbers." in said
    assert list(target.parent.iterdir()) == [target]
    loaded = DeepSpeckle()
    load_weights(loaded, target)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    # The command is what the configuration understands, and divides frames by their maximum.
    command = said.strip().splitlines()[-1].partition("python train.py ")[2].split()
    assert command[-1] == f"weights={target}"
    cfg = composed(*command[:-1])
    frames = 100 * torch.rand(2, 1, 8, 8)
    prepared = instantiate(cfg.data.preparation)
    torch.testing.assert_close(prepared(frames), frames / frames.amax((-2, -1), keepdim=True))
    kept = torch.load(target, weights_only=True, mmap=True)["preparation"]
    assert kept == {name: cfg.data.preparation[name] for name in ("transform", "scale")}
    target.unlink()


def test_an_existing_target_is_left_untouched(tmp_path, source):
    target = tmp_path / "out.ckpt"
    target.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"out\.ckpt exists already\. Name another file or remove it\."):
        convert_file(source, target)
    assert target.read_bytes() == b"mine"


def test_a_target_that_cannot_be_written_leaves_nothing(tmp_path, source):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write"):
        convert_file(source, tmp_path / "file" / "out.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_ends_in_one_line_for_a_file_that_is_no_hdf5_and_leaves_no_target(tmp_path):
    (tmp_path / "in.h5").write_text("weights")
    done = command("scripts/convert_keras_weights.py", str(tmp_path / "in.h5"), str(tmp_path / "out.ckpt"))
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert f"{tmp_path / 'in.h5'} is no HDF5 file." in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.h5"]
