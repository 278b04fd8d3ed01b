"""Attention weights are those that the network computes with."""

import pytest
import torch
from einops import rearrange
from torch import nn

from spt.evaluation.inside.attention import AttentionMap, attention_maps
from spt.models.attention import PooledAttention, pool_to_grid
from spt.models.sa_cnn import SelfAttention

X = torch.randn(2, 8, 12, 16, generator=torch.Generator().manual_seed(0))


def test_weights_times_values_are_the_output_of_pooled_attention():
    layer = PooledAttention(8, heads=2, grid=4).eval()
    (found,) = attention_maps(layer, X).maps
    value = rearrange(pool_to_grid(layer.value(layer.norm(X)), 4), "b (n d) h w -> b n (h w) d", n=2)
    joined = rearrange(found.weights @ value, "b n (h w) d -> b (n d) h w", h=12)
    assert torch.allclose(layer.out(joined), layer(X), atol=1e-6)
    assert (found.queries, found.keys, found.gate) == ((12, 16), (4, 4), None)


def test_weights_times_values_are_the_output_of_sagan_attention():
    layer = SelfAttention(8).eval()
    layer.gamma.data.fill_(0.7)
    (found,) = attention_maps(layer, X).maps
    value = rearrange(layer.value(X), "b c h w -> b 1 (h w) c")
    added = rearrange(found.weights @ value, "b 1 (h w) c -> b c h w", h=12)
    assert torch.allclose(X + 0.7 * added, layer(X), atol=1e-5)
    assert found.keys == (12, 16)
    assert found.gate == pytest.approx(0.7)


def test_cross_attention_has_the_keys_of_the_context():
    layer = PooledAttention(8, heads=2, grid=8, cross=True).eval()
    outer = Two(layer)
    (found,) = attention_maps(outer, X).maps
    assert (found.layer, found.queries, found.keys) == ("layer", (12, 16), (6, 8))


class Two(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x, x[..., ::2, ::2])


class Windows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = rearrange(x, "b c h w -> (b h) 1 w c")
        return nn.functional.scaled_dot_product_attention(rows, rows, rows)


def test_attention_within_windows_is_named_and_left_out():
    recorded = attention_maps(nn.Sequential(Windows()), X)
    assert (recorded.maps, recorded.others) == ([], ["0"])


def test_a_network_without_attention_has_no_map_and_keeps_no_hook():
    network = nn.Sequential(nn.Conv2d(8, 2, 3))
    assert attention_maps(network, X).maps == []
    assert not network[0]._forward_hooks
    assert not network[0]._forward_pre_hooks


def test_a_pixel_reads_the_mean_of_the_heads_in_its_own_row():
    weights = torch.zeros(1, 2, 6, 4)
    weights[0, 0, 5] = torch.tensor([1.0, 0, 0, 0])
    weights[0, 1, 5] = torch.tensor([0, 0, 0.5, 0.5])
    layer = AttentionMap("a", weights, (2, 3), (2, 2))
    assert layer.read_by((0.9, 0.99)).tolist() == [[[0.5, 0.0], [0.25, 0.25]]]
    assert layer.read_by((0.1, 0.99)).sum() == 0
