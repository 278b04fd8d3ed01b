"""look_inside.py explains every network of the project, and refuses what it cannot explain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, Ended, command, composed
from omegaconf import OmegaConf
from PIL import Image

import spt
from spt.run.building import build

FRAMES = np.random.default_rng(0).gamma(1, 40, (4, 32, 32)).clip(0, 255).astype(np.uint8)


def look(run: Path, *arguments: str) -> Ended:
    return command("scripts/look_inside.py", f"run={run}", *arguments)


def test_a_pair_of_the_run_with_its_object(tiny_run: Path, tmp_path: Path):
    ended = look(tiny_run, "image=val_seen:3", "pixel=[20,9]", f"out={tmp_path / 'in'}")
    assert ended.code == 0, ended
    assert "Attention: encoder2.attention.body, encoder3.attention.body" in ended.out
    assert "Pixel y = 20, x = 9." in ended.out
    files = sorted(path.name.split(".out.")[0] for path in (tmp_path / "in").iterdir())
    assert files == ["events", "feature_maps.png", "look_inside.npz", "look_inside.png"]


def test_numbers_of_a_file_are_those_of_the_network(tiny_run: Path, tmp_path: Path):
    np.save(tmp_path / "x.npy", FRAMES)
    assert look(tiny_run, f"image={tmp_path / 'x.npy'}", "frame=2", f"out={tmp_path / 'in'}").code == 0
    found = np.load(tmp_path / "in/look_inside.npz")
    net = spt.load(tiny_run)
    assert np.allclose(found["image"], net(FRAMES[2]), atol=1e-6)
    assert found["receptive_field"].max() == 1
    assert np.allclose(found["attention decoder3.cross"].sum(), 1, atol=1e-5)
    pixel = np.unravel_index(found["image"].argmax(), (32, 32))
    given = net.preparation(torch.from_numpy(FRAMES[2:3, None])).requires_grad_()
    net.model(given)[0, 0, pixel[0], pixel[1]].backward()
    assert np.allclose(found["saliency"], given.grad[0, 0].numpy(), atol=1e-6)


def test_a_second_look_replaces_the_first(tiny_run: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    other = tmp_path / "in/events.out.tfevents.1.of_a_training"
    other.touch()
    for number in (0, 1):
        assert look(tiny_run, f"image=val_seen:{number}", f"out={tmp_path / 'in'}").code == 0
    assert len(list((tmp_path / "in").iterdir())) == 5
    assert other.exists()


SMALL = {"sa_cnn": ["model.width=4"], "sa_cnn_single": ["model.width=4"], "spt_unet_b": ["model.width=8"]}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs/model").glob("*.yaml")))
def test_every_network_of_the_project(tiny_run: Path, tmp_path: Path, name: str):
    """A run folder with another network that was never trained: what is shown does not depend on what it learned."""
    run = tmp_path / "run"
    net, config = spt.load(tiny_run), OmegaConf.load(tiny_run / ".hydra/config.yaml")
    chosen = composed(f"model={name}", *SMALL.get(name, []))
    config.model, config.head = chosen.model, chosen.head
    saved = torch.load(tiny_run / "checkpoints/best.ckpt", weights_only=True)
    saved["state_dict"] = {f"model.{key}": value for key, value in build(chosen.model).state_dict().items()}
    for folder in (run / ".hydra", run / "checkpoints"):
        folder.mkdir(parents=True)
    OmegaConf.save(config, run / ".hydra/config.yaml")
    torch.save(saved, run / "checkpoints/best.ckpt")
    np.save(tmp_path / "x.npy", FRAMES[:1])
    ended = look(run, f"image={tmp_path / 'x.npy'}")
    assert ended.code == 0, ended
    with_attention = name.startswith(("spt", "sa"))
    assert ("Attention: left out, no layer of this network attends to a map." in ended.out) != with_attention
    with Image.open(run / "inside/look_inside.png") as picture:
        assert picture.width > 1000
    assert net.frame_size == (32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "image= is missing"),
        (["image=x.npy", "run=nowhere"], "is not a run with a trained network"),
        (["image=none.png"], "image=none.png: no such file, and no split:number such as val_seen:0"),
        (["image=x.npy", "frame=4"], "frame=4: x.npy holds 4 frames"),
        (["image=x.npy", "frame=-1"], "frame must be 0 or more"),
        (["image=x.npy", "frames=0"], "frames 1 or more"),
        (["image=small.npy"], "frames of 16x16 px, but the network was trained on frames of 32x32 px"),
        (["image=nan.npy"], "NaN"),
        (["image=text.png"], "text.png"),
        (["image=val_other:0"], "the run's data have no split val_other, but train, val_seen"),
        (["image=val_seen:8"], "the split has 8 frames. Count from 0."),
        (["image=x.npy", "pixel=[32,0]"], "pixel=[32, 0] lies outside the image of 32x32 px"),
        (["image=x.npy", "pixel=[-1,0]"], "lies outside"),
        (["image=x.npy", "pixel=[1.5,0]"], "pixel must be [y,x], two whole numbers, got [1.5, 0]"),
        (["image=x.npy", "pixel=7"], "pixel must be [y,x]"),
        (["image=x.npy", "device=nowhere"], "Choose cpu, cuda or mps"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", FRAMES)
    np.save("small.npy", FRAMES[:, :16, :16])
    np.save("nan.npy", np.full((1, 32, 32), np.nan, np.float32))
    Path("text.png").write_text("text")
    run = [] if any(argument.startswith("run=") for argument in arguments) else [f"run={tiny_run}"]
    ended = command("scripts/look_inside.py", *run, *arguments, "out=o")
    assert (ended.code, message in ended.err) == (2, True), ended
    assert not Path("o").exists()
