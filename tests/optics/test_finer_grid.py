"""Aliasing: a grid twice as fine, with the same physics, records the same camera image within the shot noise."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from conftest import ROOT, composed

from spt.data.objects import SparseObjects
from spt.optics import Camera, ThinDiffuser, ThinDiffuserSetup
from spt.optics.forward import DiffuserSetup
from spt.run.building import build

PRESETS = {
    path.stem: [f"optics@data.source.setup={path.stem}"]
    for path in sorted((ROOT / "configs/optics").glob("*.yaml"))
    if "object_distance" in path.read_text()
} | {"grit 1500": ["optics@data.source.setup=grit", "data.source.setup.grit=1500"]}


def interpolated(screens: torch.Tensor) -> torch.Tensor:
    """Periodic screens on half the pitch by their Fourier series; two fine samples share the place of a coarse one."""
    side = screens.shape[-1]
    spectrum = torch.fft.fftshift(torch.fft.fft2(screens.double()), dim=(-2, -1))
    wide = torch.nn.functional.pad(spectrum, (side // 2,) * 4)
    frequency = torch.arange(-side, side) / (2 * side)
    quarter = torch.exp(-2j * math.pi * frequency / 2)
    wide = torch.fft.ifftshift(wide * quarter[:, None] * quarter, dim=(-2, -1))
    return 4 * torch.fft.ifft2(wide).real


def finer(setup: DiffuserSetup) -> DiffuserSetup:
    """The same optics on half the pitch."""
    return dataclasses.replace(
        setup,
        window=2 * setup.window,
        grid=2 * setup.grid,
        pitch=setup.pitch / 2,
        object_bandwidth=setup.object_bandwidth / 2,
        allow_band_limited=True,  # what its rule 2 cuts lies beyond the coarse grid
    )


def difference(setup: DiffuserSetup, count: int = 4) -> tuple[float, float]:
    """RMS difference of the noiseless camera images, and the RMS shot noise, both relative to the mean signal."""
    objects = torch.from_numpy(SparseObjects().draw("train", range(count), setup.window, 0)).double() / 255
    medium = setup.draw(count, np.random.default_rng(0))
    fine = medium | {"screens": interpolated(medium["screens"])}
    camera, images = Camera(), []
    for optics, shown, state, pixel in (
        (setup, objects, medium, 1.0),
        (finer(setup), objects.repeat_interleave(2, 1).repeat_interleave(2, 2), fine, 2.0),
    ):
        light = Camera(pixel=pixel).irradiance(optics.intensity(shown, state))
        images.append((light / light.mean((1, 2), keepdim=True)).clamp(max=camera.saturation))
    noise = (images[0] / camera.photoelectrons).mean().sqrt()
    return (images[0] - images[1]).square().mean().sqrt().item(), noise.item()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_the_same_on_a_finer_grid(name):
    setup = build(composed(*PRESETS[name]).data.source.setup)
    if setup.window > 64:  # a quarter of the window, with the same pitch, distances and medium
        setup = dataclasses.replace(setup, window=setup.window // 4, grid=setup.grid // 2, allow_band_limited=True)
    changed, noise = difference(setup, 4 if setup.grid < 256 else 2)
    assert changed < noise


def test_without_the_stop_or_above_the_limit_it_is_not():
    """The measure sees aliasing: the settings that rule 1 allowed before differ by more than the shot noise."""

    class Unchecked(ThinDiffuserSetup):
        def validate(self, pixel: float = 1.0) -> None:
            """Nothing is refused."""

    steep = Unchecked(64, 128, 4e-6, 532e-9, 1e-3, 2e-3, ThinDiffuser(2.92, 20e-6), object_bandwidth=1.0)
    changed, noise = difference(steep)
    assert changed > 1.5 * noise
