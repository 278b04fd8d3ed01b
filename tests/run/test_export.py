"""The exported file gives PyTorch's images at any batch, or there is no file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spt.data.preparation import Amplitude
from spt.errors import InvalidValue
from spt.heads import BinaryHead, TwoClassHead
from spt.models import SpTUNet
from spt.run import export as module
from spt.run.export import FORMS, Reconstruction, export

READ = {name: read for name, (_, read) in FORMS.items()}


def reconstruction(model: nn.Module | None = None) -> Reconstruction:
    return Reconstruction(model or SpTUNet(width=4), BinaryHead(), Amplitude()).eval()


class OneLayer(nn.Module):
    """Small enough that an export takes a second."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Undecided(OneLayer):
    """Its path depends on the values, which no exporter can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.mean() > 0 else -self.conv(x)


def test_reconstruction_is_preparation_network_head():
    model, head, prepare = OneLayer(2), TwoClassHead(), Amplitude("none", "maximum")
    speckle = 100 * torch.rand(2, 1, 8, 8)
    expected = model(speckle / speckle.amax((-2, -1), keepdim=True)).softmax(1)[:, :1]
    torch.testing.assert_close(Reconstruction(model, head, prepare)(speckle), expected)


@pytest.mark.parametrize("form", list(FORMS))
def test_the_file_serves_every_batch(form: str, tmp_path: Path):
    it, path = reconstruction(OneLayer()), tmp_path / "made" / "net"
    assert export(it, (16, 24), path, form) < 1e-4
    run = READ[form](path)
    for batch in (1, 2, 7):
        speckle = 200 * torch.rand(batch, 1, 16, 24)
        with torch.no_grad():
            torch.testing.assert_close(run(speckle), it(speckle), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("size", [(64, 64), (200, 200), (32, 48)])
def test_spt_unet_with_maps_that_the_grid_does_not_divide(form: str, size: tuple[int, int], tmp_path: Path):
    assert export(reconstruction(), size, tmp_path / "net", form) < 1e-4


@pytest.mark.parametrize("form", list(FORMS))
def test_a_size_the_network_cannot_take(form: str, tmp_path: Path):
    with pytest.raises(ValueError, match=r"multiples of 8, got 60x64\. Nearest sizes that work: 56x64 and 64x64"):
        export(reconstruction(), (60, 64), tmp_path / "net", form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", list(FORMS))
def test_a_network_that_cannot_be_exported(form: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"Undecided cannot be exported as {form} at 16x16 px: "):
        export(reconstruction(Undecided()), (16, 16), tmp_path / "net", form)
    assert not list(tmp_path.iterdir())


def test_a_file_that_gives_other_images_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write, read = FORMS["torch_export"]
    monkeypatch.setitem(FORMS, "torch_export", (write, lambda path: lambda speckle: read(path)(speckle) + 2e-4))
    with pytest.raises(ValueError, match=r"the file's images differ from PyTorch's by 2\.0e-04, more than 1e-04"):
        export(reconstruction(OneLayer()), (16, 16), tmp_path / "net", "torch_export")
    assert not list(tmp_path.iterdir())


def test_not_a_number_is_not_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write, read = FORMS["torch_export"]
    monkeypatch.setitem(FORMS, "torch_export", (write, lambda path: lambda speckle: read(path)(speckle) * float("nan")))
    with pytest.raises(ValueError, match="differ from PyTorch's by nan"):
        export(reconstruction(OneLayer()), (16, 16), tmp_path / "net", "torch_export")


def test_an_existing_file_is_left_alone(tmp_path: Path):
    path = tmp_path / "net.onnx"
    path.write_text("mine")
    with pytest.raises(InvalidValue, match=r"net\.onnx exists already"):
        export(reconstruction(OneLayer()), (16, 16), path, "onnx")
    assert path.read_text() == "mine"


def test_an_unknown_form(tmp_path: Path):
    with pytest.raises(ValueError, match="format must be one of onnx, torch_export, got 'tflite'"):
        export(reconstruction(OneLayer()), (16, 16), tmp_path / "net", "tflite")


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(InvalidValue, match=r"format=onnx needs onnxscript\. Install them: pip install"):
        export(reconstruction(OneLayer()), (16, 16), tmp_path / "net", "onnx")
    assert not list(tmp_path.iterdir())
