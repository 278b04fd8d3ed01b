"""Feature maps are what the stages give."""

import torch
from torch import nn

from spt.evaluation.inside.features import feature_maps, strongest


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([nn.Conv2d(1, 3, 1), nn.AvgPool2d(2)])
        self.split = Split()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for level in self.levels:
            x = level(x)
        return self.split(x)[0]


class Split(nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, -x]


def test_lists_of_stages_and_lists_of_maps_are_taken_apart():
    network, x = Pyramid(), torch.rand(1, 1, 4, 6)
    found = feature_maps(network, x)
    assert list(found) == ["levels.0", "levels.1", "split.0", "split.1"]
    assert torch.equal(found["levels.0"], network.levels[0](x)[0])
    assert torch.equal(found["split.1"], -found["levels.1"])
    assert not network.split._forward_hooks


def test_the_strongest_channel_comes_first_and_one_pixel_is_no_strength():
    maps = torch.tensor([[[1.0, 1.0]], [[0.0, 4.0]], [[0.0, 1.0]]])
    assert strongest(maps, 2) == [1, 2]
    assert sorted(strongest(torch.ones(3, 1, 1), 8)) == [0, 1, 2]
