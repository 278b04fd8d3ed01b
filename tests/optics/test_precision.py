"""Matrix products of the optics are computed in full precision, whatever the training has set."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spt.optics import Camera, ModeMatrixSetup, RandomMatrixSetup
from spt.optics.precision import full_precision

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")


class Recorder(TorchDispatchMode):
    """Notes the precision in force at every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in PRODUCTS:
            self.seen.append(torch.get_float32_matmul_precision())
        return func(*args, **(kwargs or {}))


@pytest.fixture
def training():
    """As a training on a GPU sets it."""
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


def modal() -> ModeMatrixSetup:
    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.complex64)

    return ModeMatrixSetup(6, draw(2, 4, 6), draw(3, 16), draw(2, 25))


@pytest.mark.parametrize("setup", [RandomMatrixSetup(6, 4), modal()], ids=["random", "modal"])
def test_transmission_matrices(training, setup):
    medium = setup.draw(2, np.random.default_rng(0))
    with Recorder() as recorder:
        setup.intensity(torch.rand(2, 6, 6), medium)
    assert recorder.seen
    assert set(recorder.seen) == {"highest"}
    assert torch.get_float32_matmul_precision() == "high"


def test_pixels_of_the_camera(training):
    with Recorder() as recorder:
        Camera(pixel=1.5).irradiance(torch.rand(2, 12, 12))
    assert recorder.seen
    assert set(recorder.seen) == {"highest"}


def test_the_setting_comes_back_after_an_error(training):
    with pytest.raises(KeyError), full_precision():
        raise KeyError
    assert torch.get_float32_matmul_precision() == "high"
