"""A trained network in Python: any frames that a camera gives, without data set and without Lightning."""

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import command
from omegaconf import OmegaConf

import spt
from spt.errors import InvalidValue
from spt.evaluation.predict import Predictor
from spt.run.building import build
from spt.run.folder import RunFolder
from spt.run.trained import Trained


@pytest.fixture(scope="module")
def folder(tiny_run: Path) -> RunFolder:
    return RunFolder(tiny_run)


@pytest.fixture(scope="module")
def net(folder: RunFolder) -> Trained:
    return spt.load(folder.path)


@pytest.fixture
def frames(net: Trained) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, *net.frame_size), np.uint8)


def test_images_are_those_of_the_evaluation(net: Trained, frames: np.ndarray):
    _, expected = Predictor(net.model, net.head, net.preparation)(torch.from_numpy(frames))
    assert np.array_equal(net(frames), expected[:, 0].numpy())


def test_axes_and_library_are_those_of_the_frames(net: Trained, frames: np.ndarray):
    images = net(frames)
    assert images.dtype == np.float32
    assert np.allclose(net(frames[0]), images[0], atol=1e-6)
    assert np.array_equal(net(frames[:, None]), images[:, None])
    assert torch.equal(net(torch.from_numpy(frames)), torch.from_numpy(images))


@pytest.mark.parametrize(
    "kind", ["uint16", "uint32", "uint64", "int16", "int32", "int64", "float16", "float32", "float64", ">u2", ">f8"]
)
def test_any_real_type(net: Trained, frames: np.ndarray, kind: str):
    assert np.array_equal(net(frames.astype(kind)), net(frames))


@pytest.mark.parametrize("kind", [torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_real_type_and_shape(net: Trained, frames: np.ndarray, kind: torch.dtype):
    images, given = net(frames), torch.from_numpy(frames).to(kind)
    assert np.array_equal(net(given[:, None])[:, 0].numpy(), images)
    assert net(given[0]).dtype == torch.float32
    assert np.allclose(net(given[0]).numpy(), images[0], atol=1e-6)


def test_opening_takes_less_than_3_s_beyond_torch(folder: RunFolder):
    """Of processor time, so that other work on the machine does not count."""
    code = (
        "import time, torch; began = time.process_time(); import spt; "
        f"spt.load({str(folder.path)!r}); print(time.process_time() - began)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < 3


def test_batches_do_not_show(net: Trained, frames: np.ndarray):
    assert np.allclose(net(frames, batch_size=2), net(frames), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5,), r"must have the shape \(h, w\), \(n, h, w\) or \(n, 1, h, w\), got \(5,\)"),
        ((2, 3, 32, 32), r"must have the shape"),
        ((0, 32, 32), r"must have the shape"),
        ((2, 32, 30), r"frames of 32x30 px, but the network was trained on frames of 32x32 px"),
    ],
)
def test_frames_of_another_shape(net: Trained, shape: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=message):
        net(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("frames", [np.zeros((32, 32), complex), np.full((32, 32), None), [[1.0, 2.0]]])
def test_frames_that_are_no_real_numbers(net: Trained, frames: object, own_checks: None):
    with pytest.raises(TypeError, match="frames must be real numbers in a numpy array or a tensor"):
        net(frames)  # type: ignore[type-var]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_values_that_no_camera_records(net: Trained, frames: np.ndarray, value: float):
    poisoned = frames.astype(np.float32)
    poisoned[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"frames \[1\] hold NaN, infinity or negative intensities"):
        net(poisoned)


def test_a_device_that_is_not_there(folder: RunFolder):
    with pytest.raises(ValueError, match=r"device=nowhere: .* Choose cpu, cuda or mps"):
        spt.load(folder.path, "nowhere")


def test_a_folder_that_is_no_run(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="is not a run with a trained network"):
        spt.load(tmp_path)


def test_the_look_of_the_training_frames_is_known(net: Trained):
    assert set(net.appearance) == {"mean", "brightest", "contrast", "grain"}
    assert all(low <= high for low, high in net.appearance.values())


@pytest.mark.parametrize("what", ["spt.load({folder!r})", "import spt.run.look_inside", "import spt.run.predict"])
def test_no_library_of_training_is_imported(folder: RunFolder, what: str):
    heavy = ("lightning", "torchmetrics", "timm", "tensorboard", "torch.utils.tensorboard")
    code = f"import sys, spt; {what.format(folder=str(folder.path))}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_masks_of_one_bit_are_frames_of_0_and_1(net: Trained, frames: np.ndarray):
    assert np.array_equal(net(frames > 100), net((frames > 100).astype(np.uint8)))


def test_a_batch_has_a_frame(net: Trained, frames: np.ndarray):
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        net(frames, 0)


def test_it_prints_itself_in_a_line(net: Trained):
    assert repr(net).startswith("SpTUNet of ")
    assert "frames of 32x32 px (frame 32x32 -> sqrt -> standardize)" in repr(net)


@pytest.fixture
def known(tiny_run: Path) -> torch.Tensor:
    """The frames that the network was trained on."""
    config: Any = OmegaConf.load(RunFolder(tiny_run).config)
    data = build(config.data)
    data.prepare_data()
    data.setup()
    return data.splits["train"].speckle[:]


def test_frames_like_those_of_the_training_bring_no_warning(folder: RunFolder, known: torch.Tensor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spt.load(folder.path)(known)


def test_frames_of_another_kind_bring_a_warning_once_for_each_reason(folder: RunFolder, known: torch.Tensor):
    net = spt.load(folder.path)
    bright = known.float() * 40
    with pytest.warns(UserWarning, match=r"^The (mean grey|brightest).*training frames had.*may be wrong\.$") as said:
        net(bright)
    assert sorted(str(warning.message)[:12] for warning in said) == ["The brightes", "The mean gre"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(bright.numpy()[0])
    with pytest.warns(UserWarning, match="contrast"):
        net(bright.mean((1, 2), keepdim=True) + 0.01 * bright)


def test_reconstruct_gives_no_warning(folder: RunFolder, known: torch.Tensor):
    net = spt.load(folder.path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = net.reconstruct(40 * known.float())
    with pytest.warns(UserWarning, match="mean grey level"):
        assert torch.equal(net(40 * known.float()), images)


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the small run, to write into."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def test_orientations_in_every_command(copied: Path, tmp_path: Path, frames: np.ndarray):
    net = spt.load(copied)
    images = net(frames, orientations=8)
    assert np.allclose(net(frames[:, ::-1].copy(), orientations=8), images[:, ::-1], atol=1e-5)
    assert not np.allclose(net(frames[:, ::-1].copy()), net(frames)[:, ::-1], atol=1e-4)
    np.save(tmp_path / "x.npy", frames)
    asked = [f"input={tmp_path / 'x.npy'}", f"out={tmp_path / 'images'}", "format=npy", "orientations=8"]
    ended = command("scripts/predict.py", f"run={copied}", *asked)
    assert ended.code == 0, ended.err
    assert np.allclose(np.load(next((tmp_path / "images").glob("*.npy"))), images, atol=1e-6)
    ended = command("scripts/evaluate.py", f"run={copied}", "orientations=4", "baseline_pairs=0")
    assert ended.code == 0, ended.err
    assert "SpTUNet, 4 orientations" in ended.out
    assert (copied / "evaluation" / "splits_4_orientations" / "evaluation.json").is_file()
    assert "splits_4_orientations" in json.loads((copied / "metrics.json").read_text())["protocols"]


def test_orientations_that_the_training_could_not_have_had(copied: Path, tmp_path: Path, frames: np.ndarray):
    net, config = spt.load(copied), RunFolder(copied).config
    with pytest.raises(InvalidValue, match="orientations must be 1, 4 or 8, got 2"):
        net(frames, orientations=2)
    with pytest.raises(InvalidValue, match="orientations=8 transposes the frames, which are not square"):
        replace(net, frame_size=(32, 40)).oriented(net.predictor(), 8)
    config.write_text(config.read_text().replace("train_diffusers: null", "train_diffusers: 3"))
    np.save(tmp_path / "x.npy", frames)
    asked = [f"run={copied}", "orientations=8"]
    for ended in (
        command("scripts/predict.py", *asked, f"input={tmp_path / 'x.npy'}", f"out={tmp_path / 'images'}"),
        command("scripts/evaluate.py", *asked),
    ):
        assert ended.code == 2
        assert "orientations=8 needs a network that sees the frames themselves" in ended.err
    assert not (tmp_path / "images").exists()
    assert not (copied / "evaluation").exists()
    ended = command("scripts/evaluate.py", *asked, "refine=true")
    assert "refine=true takes frames as they are. Set orientations=1." in ended.err
