"""The notes' formulas as printed, and how far they are from the count."""

import pytest
import torch
from torch import nn

from spt.complexity import notes_formulas as notes
from spt.complexity.profile import profile


def test_the_notes_example_is_7632():
    assert notes.convolution_flops(3, 4, (3, 3), (6, 6), bias=False) == 7632
    assert notes.convolution_flops(3, 4, (3, 3), (6, 6), bias=True) == 7632 + 4 * 36


@pytest.mark.parametrize(("bias", "printed"), [(False, 7632), (True, 7776)])
def test_the_example_as_a_layer(bias, printed):
    counted = profile(nn.Conv2d(3, 4, 3, padding=1, bias=bias), torch.zeros(1, 3, 6, 6))
    assert sum(c.notes for c in counted.calls) == printed
    assert counted.flops == 7776


def test_under_stride_the_formula_is_stride_squared_too_high():
    counted = profile(nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.zeros(1, 3, 6, 6))
    assert sum(c.notes for c in counted.calls) == 4 * counted.flops


def test_the_second_note_counts_macs_and_a_bias():
    assert notes.convolution_parameters((3, 3), 3, 4) == 112 == sum(p.numel() for p in nn.Conv2d(3, 4, 3).parameters())
    assert notes.convolution_flops_from_parameters((3, 3), 3, 4, (6, 6)) == 36 * 112
    counted = profile(nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.zeros(5, 3, 6, 6))
    assert sum(c.second_note for c in counted.calls) == 5 * 9 * 112 == counted.macs + 5 * 9 * 4


def test_fully_connected_is_macs_printed_as_flops():
    mlp = nn.Sequential(nn.Linear(6, 24, bias=False), nn.Linear(24, 6, bias=False))
    counted = profile(mlp, torch.zeros(5, 6))
    assert notes.fully_connected_flops(6, 5) == counted.macs == counted.flops // 2 == 8 * 36 * 5
    assert sum(c.notes for c in counted.calls) == counted.macs


class SelfAttention(nn.Module):
    """Projections to q, k (and v), and the products; no output projection."""

    def __init__(self, project_v: bool) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.v = nn.Linear(8, 8, bias=False) if project_v else nn.Identity()

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))


@pytest.mark.parametrize("project_v", [False, True])
def test_both_printed_cases_of_attention_are_macs_and_one(project_v):
    counted = profile(SelfAttention(project_v), torch.zeros(1, 10, 8))
    formula = notes.attention_flops_equal_widths(10, 8) if project_v else notes.attention_flops(10, 8, 8)
    assert formula == counted.macs + 1
    assert sum(c.notes for c in counted.calls) == formula
