"""Gradients of networks whose gradients are known."""

import numpy as np
import pytest
import torch
from torch import nn

from spt.evaluation.inside.gradients import evidence, receptive_field, saliency, side
from spt.heads import BinaryHead, GreyLevelsHead, TwoClassHead

FRAMES = torch.rand(3, 1, 15, 17, generator=torch.Generator().manual_seed(1))


def ones(k: int) -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, k, padding=k // 2, bias=False)
    layer.weight.data.fill_(1)
    return layer


@pytest.mark.parametrize(("k", "layers"), [(3, 1), (3, 3), (5, 2)])
def test_the_field_of_a_stack_of_ones_is_the_repeated_convolution_of_boxes(k: int, layers: int):
    profile = np.ones(1)
    for _ in range(layers):
        profile = np.convolve(profile, np.ones(k))
    profile /= profile.max()
    reach = layers * (k // 2)
    expected = np.zeros((15, 17))
    expected[7 - reach : 8 + reach, 8 - reach : 9 + reach] = np.outer(profile, profile)
    network = nn.Sequential(*(ones(k) for _ in range(layers)))
    found = receptive_field(network, BinaryHead(), FRAMES, (7, 8), (15, 17))
    assert np.allclose(found.numpy(), expected, atol=1e-6)


def test_one_layer_of_ones_has_the_side_of_its_kernel():
    assert side(receptive_field(ones(5), BinaryHead(), FRAMES, (7, 8), (15, 17))) == 5


def test_a_network_that_ignores_its_input_has_no_field():
    network = ones(3)
    network.weight.data.zero_()
    found = receptive_field(network, BinaryHead(), FRAMES, (7, 8), (15, 17))
    assert (found.sum(), side(found)) == (0, 0)


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(12, 12, generator=torch.Generator().manual_seed(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ self.matrix.T).unflatten(1, (1, 3, 4))


def test_the_saliency_of_a_linear_map_is_its_row():
    network = Linear()
    found = saliency(network, BinaryHead(), torch.rand(2, 1, 3, 4), (2, 1), (3, 4))
    row = network.matrix[2 * 4 + 1].detach().reshape(3, 4)
    assert torch.allclose(found, row.expand(2, 1, 3, 4))
    assert network.matrix.grad is None


def test_two_classes_give_the_gradient_of_the_foreground():
    logits = torch.tensor([[[[0.3]], [[-0.2]]]], requires_grad=True)
    p = torch.sigmoid(torch.tensor(0.5))
    (found,) = torch.autograd.grad(evidence(TwoClassHead(), logits).sum(), logits)
    assert torch.allclose(found.flatten(), torch.stack([p * (1 - p), -p * (1 - p)]))


def test_a_choice_among_levels_gives_the_gradient_of_the_greatest_logit():
    logits = torch.tensor([[[[0.1]], [[0.7]], [[0.2]]]], requires_grad=True)
    (found,) = torch.autograd.grad(evidence(GreyLevelsHead(3, image="most_likely"), logits).sum(), logits)
    assert found.flatten().tolist() == [0, 1, 0]
