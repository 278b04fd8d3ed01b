"""The pictures show every panel, with and without attention and object."""

import pytest
import torch

from spt.evaluation.inside.attention import AttentionMap
from spt.evaluation.inside.figure import Seen, overview, stages


def seen(layers: int, truth: torch.Tensor | None) -> Seen:
    attention = [AttentionMap(f"layer{k}", torch.full((1, 1, 16, 4), 0.25), (4, 4), (2, 2), 0.5) for k in range(layers)]
    square = torch.rand(8, 8)
    return Seen(square, torch.rand(4, 4), truth, (1, 2), square, square, attention)


@pytest.mark.parametrize(("layers", "truth"), [(0, None), (6, torch.rand(4, 4)), (9, None)])
def test_every_panel_is_drawn_once(layers: int, truth: torch.Tensor | None):
    titles = [ax.get_title() for ax in overview(seen(layers, truth), "run").axes if ax.get_title()]
    assert sum("attention" in title for title in titles) == layers
    assert titles[:2] == ["network input", "predicted image"]
    assert ("object" in titles) == (truth is not None)


def test_the_cross_lies_on_the_pixel():
    ax = overview(seen(0, None), "run").axes[1]
    assert [float(values[0]) for values in ax.lines[0].get_data()] == [2, 1]
    assert [float(values[0]) for values in overview(seen(0, None), "run").axes[0].lines[0].get_data()] == [4.5, 2.5]


def test_a_row_a_stage():
    figure = stages({"a": torch.rand(9, 4, 4), "b": torch.rand(2, 1, 1)})
    assert sum(bool(ax.images) for ax in figure.axes) == 8 + 2
