"""predict.py on files of every kind: good ones become images with their names, bad ones are listed."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from conftest import Ended, command
from PIL import Image

import spt

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


def test_frames_of_another_kind_get_a_warning(run: Path, tmp_path: Path):
    np.save(tmp_path / "flat.npy", np.full((2, 32, 32), 3, np.uint8))
    ended = predict(run, f"input={tmp_path / 'flat.npy'}", f"out={tmp_path / 'out'}")
    assert ended.code == 0
    assert "flat.npy: The contrast (standard deviation over mean) is 0 to 0; the training frames had" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out=o"], "input= is missing"),
        (["input=none.png", "out=o"], "input=none.png: no such file or folder"),
        (["input=x.npy", "out=full"], "exists and is not empty"),
        (["input=x.npy", "out=o", "format=gif"], "format must be one of png, png16, tiff, npy, h5, got 'gif'"),
        (["input=x.npy", "out=o", "average=0"], "average must be at least 1, got 0"),
        (["input=x.npy", "out=o", "device=nowhere"], "Choose cpu, cuda or mps"),
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
    ended = predict(run, *arguments)
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
