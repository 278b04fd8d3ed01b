"""Longest path, receptive field and shortest link between borders, on networks where they are known."""

import math

import pytest
import torch
from torch import nn

from spt.complexity.profile import profile
from spt.models import SACNN, SpTUNet


def counted(model: nn.Module, side: int = 32, channels: int = 1):
    return profile(model, torch.zeros(1, channels, side, side))


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([nn.Conv2d(1, 1, 3, padding=1)] * 4, 9),
        ([nn.Conv2d(1, 1, 5, padding=4, dilation=2)] * 2, 17),
        ([nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, padding=1)], 8),
        ([nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Conv2d(1, 1, 3, padding=1)], 7),
        ([nn.Conv2d(1, 1, 1)] * 3, 1),
        ([nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)], 6),
        ([nn.MaxPool2d(2), nn.ConvTranspose2d(1, 1, 2, stride=2), nn.Conv2d(1, 1, 3)], 4),
    ],
)
def test_receptive_field(layers, field):
    assert counted(nn.Sequential(*layers)).receptive_field == (field, field)


def test_the_field_of_an_oblong_kernel_is_oblong():
    assert counted(nn.Conv2d(1, 1, (1, 7), padding=(0, 3))).receptive_field == (1, 7)


def test_the_field_is_where_a_gradient_arrives():
    """Against the network itself: positive weights let every path through."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2), nn.Conv2d(2, 2, 5, padding=4, dilation=2), nn.Conv2d(2, 1, 1)
    )
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    x = torch.ones(1, 1, 64, 64, requires_grad=True)
    model(x)[0, 0, 16, 16].backward()
    rows = x.grad[0, 0].any(dim=1).nonzero()
    assert counted(model, 64).receptive_field[0] == rows.max() - rows.min() + 1


def test_depth_is_the_longest_way_and_views_are_no_steps():
    class Skip(nn.Module):
        def forward(self, x):
            y = x.sin().cos().tanh().reshape(1, -1).view_as(x)
            return y + x.exp()

    assert counted(Skip()).depth == 4


def test_constants_are_on_no_path():
    class Constant(nn.Module):
        def forward(self, x):
            return x + torch.ones_like(x).sin().cos().tanh()

    assert counted(Constant()).depth == 1


def test_in_place_operators_are_steps():
    class InPlace(nn.Module):
        def forward(self, x):
            return x.clone().add_(1).mul_(2).relu_()

    assert counted(InPlace()).depth == 3


@pytest.mark.parametrize(("count", "length"), [(30, None), (31, 31), (40, 40)])
def test_opposite_borders_of_32_pixels_need_31_convolutions(count, length):
    # All 40 are on the way where there are 40.
    model = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(count)])
    assert counted(model).path_length == length


def test_attention_links_the_borders_in_one():
    class Tokens(nn.Module):
        def forward(self, x):
            t = x.flatten(2).mT
            return nn.functional.scaled_dot_product_attention(t, t, t)

    got = counted(Tokens())
    assert (got.path_length, got.receptive_field) == (1, (math.inf, math.inf))


def test_a_window_of_attention_reaches_as_far_as_its_tokens():
    class Windows(nn.Module):
        def forward(self, x):
            t = x.unflatten(2, (8, 4)).unflatten(4, (8, 4)).permute(0, 2, 4, 3, 5, 1).reshape(64, 16, 1)
            return nn.functional.scaled_dot_product_attention(t, t, t)

    assert counted(Windows()).receptive_field == (4, 4)


def test_pooled_attention_links_more_directly_than_attention_at_the_bottleneck():
    single, spt = counted(SACNN(width=8, attention_levels=(5,)), 256), counted(SpTUNet(width=4), 256)
    assert spt.path_length < single.path_length
    assert math.isinf(spt.receptive_field[0])
