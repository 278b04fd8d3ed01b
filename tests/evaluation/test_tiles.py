"""Tiles of shift-invariant networks join without a seam; others are refused by what they do, not by their names."""

import pytest
import torch
from torch import Tensor, nn

from spt.evaluation.tiles import Tiling, find_tiling, tiled
from spt.models import SACNN, SpTUNet

FRAME = torch.rand(96, 80, generator=torch.Generator().manual_seed(0))


class Images:
    """The images of a network whose output needs no head."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.no_grad()
    def __call__(self, frames: Tensor) -> Tensor:
        return self.network(frames[:, None])[:, 0]


def convolutions(layers: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(layers)))


class Halving(nn.Module):
    """Shift-invariant at multiples of 4 px alone."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(nn.functional.max_pool2d(x, 4), scale_factor=4.0)


class Ramp(nn.Module):
    """Sees where a pixel lies."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 1, x.shape[-1])


@pytest.mark.parametrize("network", [convolutions(1), convolutions(3), Halving(), nn.Identity()])
def test_tiles_are_the_image_of_the_whole_frame(network: nn.Module):
    images = Images(network)
    tiling = find_tiling(images, FRAME, (32, 32))
    exact = Tiling((32, 32), tiling.step, max(tiling.margin, 3))
    frames = torch.stack([FRAME, FRAME.flip(0)])
    assert torch.allclose(tiled(images, frames, exact, 5), images(frames), atol=1e-6)
    assert (tiled(images, frames, tiling, 5) - images(frames)).std() <= 0.05 * images(frames).std()


def test_only_multiples_of_the_stride_fit():
    assert find_tiling(Images(Halving()), FRAME[:, :72], (32, 32)).step in (4, 8)
    with pytest.raises(ValueError, match="The network is not shift-invariant"):
        find_tiling(Images(Halving()), FRAME[:, :70], (32, 32))


@pytest.mark.parametrize("network", [Ramp(), nn.Sequential(convolutions(1), Ramp())])
def test_a_network_that_sees_the_place_is_refused(network: nn.Module):
    with pytest.raises(ValueError, match=r"differ by \d+% of the contrast \(allowed 5%\)"):
        find_tiling(Images(network), FRAME, (32, 32))


def test_strong_attention_is_refused():
    for network in (SpTUNet(width=8), SACNN(width=4)):
        assert find_tiling(Images(network), FRAME, (32, 32)), "before the training it adds next to nothing"
        for layer in network.modules():
            if hasattr(layer, "gamma"):
                layer.gamma.data.fill_(100.0)
            if hasattr(layer, "grid"):
                layer.out.weight.data.mul_(100)
        with pytest.raises(ValueError, match="not shift-invariant"):
            find_tiling(Images(network), FRAME, (32, 32))


def test_a_smaller_frame_is_no_tile():
    with pytest.raises(ValueError, match="a frame of 96x80 px is smaller than a tile of 128x64 px"):
        find_tiling(Images(nn.Identity()), FRAME, (128, 64))


@pytest.mark.parametrize(("frame", "margin"), [((32, 32), 3), ((40, 32), 0), ((96, 80), 6), ((33, 95), 1)])
def test_every_pixel_is_of_a_tile_and_off_its_margin(frame: tuple[int, int], margin: int):
    tiling, seen = Tiling((32, 32), 1, margin), torch.zeros(frame)
    for y, x in tiling.starts(frame):
        rows, columns = tiling.kept(y, frame[0], 32), tiling.kept(x, frame[1], 32)
        seen[rows, columns] = 1
        assert rows.start in (0, y + margin)
        assert rows.stop in (frame[0], y + 32 - margin)
    assert seen.all()
