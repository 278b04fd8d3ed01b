"""predict.py on files of every kind: good ones become images with their names, bad ones are listed."""

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
from conftest import Ended, command
from omegaconf import OmegaConf
from PIL import Image

import spt
from spt.data.files import open_frames
from spt.evaluation.predict import Predictor

FRAMES = np.random.default_rng(0).gamma(1, 40, (4, 32, 32)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Path:
    return tiny_run


@pytest.fixture(scope="module")
def images(run: Path) -> np.ndarray:
    return spt.load(run)(FRAMES)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "my frames = 散斑"
    folder.mkdir()
    for k, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / f"sp_{k}.png")
    return folder


def predict(run: Path, *arguments: str) -> Ended:
    return command("scripts/predict.py", f"run={run}", *arguments)


def test_a_folder_of_pictures(run: Path, frames: Path, images: np.ndarray, tmp_path: Path):
    ended = predict(run, f"input='{frames}'", f"out={tmp_path / 'out'}")
    assert (ended.code, "4 images of 4 files" in ended.out) == (0, True), ended
    for k in range(4):
        with Image.open(tmp_path / "out" / f"sp_{k}.png") as picture:
            assert np.array_equal(np.asarray(picture), (images[k] * 255).round())


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("png16", lambda out: [np.asarray(Image.open(out / f"sp_{k}.png")) / 65535 for k in range(4)]),
        ("tiff", lambda out: [tifffile.imread(out / f"sp_{k}.tif") for k in range(4)]),
        ("npy", lambda out: [np.load(out / f"sp_{k}.npy")[0] for k in range(4)]),
        ("h5", lambda out: [h5py.File(out / "images.h5")[f"sp_{k}"][0] for k in range(4)]),
    ],
)
def test_every_format(run: Path, frames: Path, images: np.ndarray, tmp_path: Path, form: str, read):
    assert predict(run, f"input='{frames}'", f"out={tmp_path / 'out'}", f"format={form}").code == 0
    assert np.allclose(read(tmp_path / "out"), images, atol=1e-5)


def test_an_array_of_a_file_and_exposures_of_one_object(run: Path, images: np.ndarray, tmp_path: Path):
    np.savez(tmp_path / "x.npz", a=FRAMES, b=FRAMES)
    ended = predict(run, f"input={tmp_path / 'x.npz'}:b", f"out={tmp_path / 'out'}", "format=npy", "average=2")
    assert ended.code == 0, ended
    assert np.allclose(np.load(tmp_path / "out/x_b.npy"), images.reshape(2, 2, 32, 32).mean(1), atol=1e-6)


def test_bad_files_are_listed_and_the_good_ones_written(run: Path, frames: Path, tmp_path: Path):
    (frames / "sp_1.png").write_bytes(b"no picture")
    Image.fromarray(FRAMES[2, :30]).save(frames / "sp_2.png")
    ended = predict(run, f"input='{frames}'", f"out={tmp_path / 'out'}")
    assert ended.code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sp_0.png", "sp_3.png"]
    bad = [line for line in ended.err.splitlines() if line.startswith("Not predicted:")]
    assert "sp_1.png" in bad[0]
    assert "sp_2.png: frames of 30x32 px, but the network was trained on frames of 32x32 px" in bad[1].replace(
        "[0]", ""
    )


def test_frames_of_another_kind_get_a_warning(run: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder):
    np.save(tmp_path / "flat.npy", np.full((2, 32, 32), 3, np.uint8))
    ended = predict(run, f"input={tmp_path / 'flat.npy'}", f"out={tmp_path / 'out'}")
    assert ended.code == 0
    assert "flat.npy: The contrast (standard deviation over mean) is 0; the training frames had" in ended.err
    assert ended.err.count("contrast (standard") == 1
    assert not [warning for warning in recwarn if "training frames" in str(warning.message)], "said twice"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out=o"], "input= is missing"),
        (["input=none.png", "out=o"], "input=none.png: no such file or folder"),
        (["input=x.npy", "out=full"], "exists and is not empty"),
        (["input=x.npy", "out=o", "format=gif"], "format must be one of png, png16, tiff, npy, h5, got 'gif'"),
        (["input=x.npy", "out=o", "average=0"], "average must be at least 1, got 0"),
        (["input=x.npy", "out=o", "device=nowhere"], "Choose cpu, cuda or mps"),
        (["input=x.npy", "out=o", "batch_size=0"], "batch_size must be at least 1, got 0"),
        (["input=x.npy", "out=o", "tile=yes"], "tile must be one of none, auto, anyway, got 'yes'"),
        (["input=x.npy"], "out= is missing"),
        (["input=x.npy", "out=o", "run=nowhere"], "run=nowhere is not a run with a trained network"),
        (["input=x.npy", "out=full/mine.txt"], "exists and is not empty"),
        (["input='*.gif'", "out=o"], "no such file or folder, and no file fits it as a pattern"),
        (["input=x.npy", "out=o", "axes=xy"], "axes must be letters of n, h, w and c"),
        (["input=two", "out=o"], "would give images of one name"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", FRAMES)
    for folder in ("full", "two"):
        (tmp_path / folder).mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    for name in ("two/a.png", "two/a.bmp"):
        Image.fromarray(FRAMES[0]).save(name)
    ended = predict(run, *arguments) if "run=nowhere" not in arguments else command("scripts/predict.py", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "o").exists()


def test_two_files_whose_images_would_have_one_name(run: Path, tmp_path: Path):
    folder = tmp_path / "[in]"
    folder.mkdir()
    np.save(folder / "x.npy", FRAMES[:2])
    Image.fromarray(FRAMES[2]).save(folder / "x_0.png")
    ended = predict(run, f"input='{folder}/*'", f"out={tmp_path / 'out'}")
    assert ended.code == 1
    assert "x_0.png: its image x_0 would replace that of another file" in ended.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x_0.png", "x_1.png"]


def write_bad(folder: Path) -> None:
    """One file of each kind that cannot be predicted."""
    folder.mkdir()
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    whole = folder / "cut.tif"
    tifffile.imwrite(whole, FRAMES, photometric="minisblack")
    whole.write_bytes(whole.read_bytes()[:-2000])
    Image.fromarray(FRAMES[0, :20]).save(folder / "small.png")
    np.save(folder / "nan.npy", np.full((1, 32, 32), np.nan, np.float32))
    np.save(folder / "negative.npy", -FRAMES.astype(np.float32) - 1)
    np.save(folder / "infinite.npy", np.full((32, 32), np.inf))
    np.save(folder / "complex.npy", FRAMES.astype(complex))
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(folder / "nothing.npy", np.zeros((0, 32, 32), np.uint8))
    np.save(folder / "line.npy", np.zeros(7, np.uint8))
    np.savez(folder / "two.npz", a=FRAMES, b=FRAMES)
    with h5py.File(folder / "no_array.h5", "w") as file:
        file.create_group("empty")
    (folder / "cut.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b" " * 105)


BAD = [
    *("empty.png", "text.png", "cut.tif", "small.png", "nan.npy", "negative.npy", "infinite.npy", "complex.npy"),
    *("words.npy", "objects.npy", "nothing.npy", "line.npy", "two.npz", "no_array.h5", "cut.mat"),
]


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_nothing_is_written(run: Path, tmp_path: Path, name: str):
    write_bad(tmp_path / "in")
    ended = predict(run, f"input={tmp_path / 'in' / name}", f"out={tmp_path / 'out'}")
    assert ended.code in (1, 2)
    assert name in ended.err, ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


def test_a_reason_is_said_once_for_all_files(run: Path, tmp_path: Path):
    for k in range(3):
        np.save(tmp_path / f"x{k}.npy", np.full((2, 32, 32), 3 + k, np.uint8))
    ended = predict(run, f"input='{tmp_path}/x*.npy'", f"out={tmp_path / 'out'}")
    said = [line for line in ended.err.splitlines() if "contrast" in line]
    assert len(said) == 1
    assert "x0.npy and 2 more files: The contrast" in said[0]


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from spt.run.image_files import FORMATS
with FORMATS["h5"](Path(sys.argv[1])) as write:
    write("a", np.zeros((1, 4, 4), np.float32))
    print("written", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_prediction_left_is_removed_and_what_a_living_one_writes_is_not(
    run: Path, frames: Path, tmp_path: Path
):
    """A process that was killed after its first image has not made images.h5 yet."""
    out, asked = tmp_path / "out", (f"input='{frames}'", f"out={tmp_path / 'out'}", "format=h5")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(out)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        before = sorted(out.iterdir())
        assert [path.suffix for path in before] == [".part", ".lock"]
        refused = predict(run, *asked)
        assert (refused.code, sorted(out.iterdir())) == (2, before)
        assert f"another process writes {out / 'images.h5'}. Wait for it" in refused.err
    finally:
        writer.kill()
        writer.wait()
    assert predict(run, *asked).code == 0
    assert [path.name for path in out.iterdir()] == ["images.h5"]


def test_leftovers_beside_other_files_stay_where_the_folder_is_refused(run: Path, frames: Path, tmp_path: Path):
    out = tmp_path / "results"
    out.mkdir()
    for name in (".images.h5.7.part", "notes.txt"):
        (out / name).write_text("x")
    refused = predict(run, f"input='{frames}'", f"out={out}", "format=h5")
    assert refused.code == 2
    assert sorted(path.name for path in out.iterdir()) == [".images.h5.7.part", "notes.txt"]


@pytest.mark.parametrize(("form", "kept"), [("h5", 0), ("png", 2)])
def test_ctrl_c_says_what_is_there(
    run: Path, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, kept: int
):
    seen: list[Path] = []

    def stopped(path: Path, *rest: object) -> object:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return open_frames(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("spt.run.predict.open_frames", stopped)
    ended = predict(run, f"input='{frames}'", f"out={tmp_path / 'out'}", f"format={form}")
    assert (ended.code, ended.err.strip()) == (130, f"Interrupted; {kept} images are in {tmp_path / 'out'}.")
    assert len(list((tmp_path / "out").glob("*"))) == kept


def of_another_size(run: Path, side: int, folder: Path, train_diffusers: int | None = 1) -> Path:
    """The run, as if its frames had been larger: the network takes any multiple of 8 px."""
    saved = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    saved |= {"frame_size": [side, side], "object_size": [side, side]}
    config = OmegaConf.load(run / ".hydra/config.yaml")
    config.data.source.train_diffusers = train_diffusers
    for name in (".hydra", "checkpoints"):
        (folder / name).mkdir(parents=True)
    torch.save(saved, folder / "checkpoints/best.ckpt")
    OmegaConf.save(config, folder / ".hydra/config.yaml")
    return folder


def test_the_measured_frames_of_another_group(run: Path, tmp_path: Path, real_data: Path):
    large = of_another_size(run, 256, tmp_path / "run")
    ended = predict(large, f"input={real_data / 'deep_speckle_test'}", f"out={tmp_path / 'out'}")
    assert (ended.code, "20 images of 4 files" in ended.out) == (0, True), ended
    assert len(list((tmp_path / "out").glob("*.png"))) == 20
    assert len(ended.err.splitlines()) <= 4


def test_a_checkpoint_of_a_gpu_is_read_on_a_cpu(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = of_another_size(run, 32, tmp_path / "run")
    saved = torch.load(copy / "checkpoints/best.ckpt", weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        torch.save(saved, copy / "checkpoints/best.ckpt")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(copy / "checkpoints/best.ckpt", weights_only=True)
    assert np.array_equal(spt.load(copy)(FRAMES), spt.load(run)(FRAMES))


@pytest.mark.parametrize(
    ("diffusers", "tile", "message"),
    [
        (1, "none", "frames of 35x37 px, but the network was trained on frames of 32x32 px"),
        (1, "auto", "the run's data do not say that every pair had a diffuser of its own"),
        (None, "auto", "The network is not shift-invariant"),
        (1, "anyway", "The network is not shift-invariant"),
    ],
)
def test_larger_frames_are_refused_with_the_reason(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diffusers: int | None, tile: str, message: str
):
    copy = of_another_size(run, 32, tmp_path / "run", diffusers)
    monkeypatch.setattr("spt.evaluation.tiles.TOLERANCE", 0.0)  # an epoch of few pairs leaves the attention weak
    np.save(tmp_path / "x.npy", np.random.default_rng(1).gamma(1, 40, (2, 35, 37)).clip(0, 255).astype(np.uint8))
    ended = predict(copy, f"input={tmp_path / 'x.npy'}", f"out={tmp_path / 'out'}", f"tile={tile}")
    assert (ended.code, message in ended.err) == (1, True), ended


def test_larger_frames_of_a_convolutional_network(run: Path, tmp_path: Path):
    """A trained network whose deeper levels are switched off has a small receptive field: its tiles fit."""
    copy = of_another_size(run, 32, tmp_path / "run", None)
    saved = torch.load(copy / "checkpoints/best.ckpt", weights_only=True)
    for name, weight in saved["state_dict"].items():
        if re.search(r"model\.up1\.narrow.*weight", name):
            weight.zero_()
    torch.save(saved, copy / "checkpoints/best.ckpt")
    config = OmegaConf.load(copy / ".hydra/config.yaml")
    config.data.preparation.scale = "none"
    OmegaConf.save(config, copy / ".hydra/config.yaml")
    large = np.random.default_rng(1).gamma(1, 40, (3, 64, 48)).clip(0, 255).astype(np.uint8)
    np.save(tmp_path / "x.npy", large)
    ended = predict(copy, f"input={tmp_path / 'x.npy'}", f"out={tmp_path / 'out'}", "tile=auto", "format=npy")
    assert ended.code == 0, ended
    net = spt.load(copy)
    whole = Predictor(net.model, net.head, net.preparation)(torch.from_numpy(large))[1][:, 0].numpy()
    written = np.load(tmp_path / "out/x.npy")
    assert written.shape == (3, 64, 48)
    assert np.std(written - whole) < 0.05 * whole.std()
