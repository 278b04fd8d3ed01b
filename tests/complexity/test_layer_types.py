"""Table 1 of Attention Is All You Need, and the growth of real layers."""

import pytest
import torch
from torch import nn

from spt.complexity.layer_types import layer_types
from spt.complexity.profile import profile


def test_the_table_in_numbers():
    assert layer_types(n=64, d=8, k=4, r=16) == [
        ("self-attention", 64 * 64 * 8, 1, 1),
        ("recurrent", 64 * 64, 64, 64),
        ("convolutional", 4 * 64 * 64, 1, pytest.approx(3)),
        ("restricted self-attention", 16 * 64 * 8, 1, 4),
    ]


@pytest.mark.parametrize("numbers", [(0, 1, 2, 1), (4, 0, 2, 1), (4, 1, 1, 1), (4, 1, 2, 5), (4, 1, 2, 0)])
def test_numbers_out_of_range(numbers):
    with pytest.raises(ValueError, match="layer types need"):
        layer_types(*numbers)


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


def macs(layer: nn.Module, *shape: int) -> int:
    return profile(layer, torch.zeros(shape)).macs


@pytest.mark.parametrize(("n", "d"), [(16, 8), (64, 8), (16, 32)])
def test_real_layers_grow_as_the_table_says(n, d):
    attention, recurrent, convolution, _ = layer_types(n, d, k=3, r=4)
    assert macs(Attention(), 1, n, d) == 2 * attention.complexity
    assert macs(nn.RNN(d, d, bias=False), n, 1, d) == 2 * recurrent.complexity
    assert macs(nn.Conv1d(d, d, 3, padding=1), 1, d, n) == convolution.complexity


def test_a_recurrent_layer_is_sequential_and_attention_is_not():
    depths = [profile(nn.RNN(4, 4), torch.zeros(n, 1, 4)).depth for n in (8, 16)]
    assert depths[1] - depths[0] >= 8
    assert [profile(Attention(), torch.zeros(1, n, 4)).depth for n in (8, 16)] == [1, 1]
