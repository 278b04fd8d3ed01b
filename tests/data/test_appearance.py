import pytest
import torch

from spt.data.appearance import appearance, unusual


def speckle(mean: float, grain: int = 1, size: int = 64, count: int = 6) -> torch.Tensor:
    """Fully developed speckle: exponential intensities in squares of ``grain`` px."""
    generator = torch.Generator().manual_seed(0)
    coarse = -mean * torch.rand(count, size // grain, size // grain, generator=generator).clamp(min=1e-6).log()
    return coarse.repeat_interleave(grain, 1).repeat_interleave(grain, 2)


def test_numbers_of_fully_developed_speckle():
    """Contrast 1, mean as drawn."""
    found = appearance(speckle(40))
    assert found["mean"] == pytest.approx([40, 40], rel=0.06)
    assert found["contrast"] == pytest.approx([1, 1], rel=0.1)
    assert found["grain"][0] <= found["grain"][1] < 2


def test_frames_of_the_same_kind_are_not_unusual():
    assert unusual(speckle(40)[3:], appearance(speckle(40))) == []


@pytest.mark.parametrize(
    ("frames", "word"),
    [(speckle(400), "mean grey level"), (speckle(40).sqrt() + 60, "contrast"), (speckle(40, grain=8), "grain size")],
)
def test_frames_of_another_kind_are_named_in_words(frames, word):
    said = unusual(frames, appearance(speckle(40)))
    assert any(word in sentence for sentence in said)
    assert all("the training frames had" in sentence for sentence in said)


def test_constant_frames_have_an_appearance():
    assert appearance(torch.full((2, 8, 8), 5.0))["contrast"] == [0, 0]


def test_one_value_is_not_said_as_a_range():
    (said, *_) = unusual(torch.full((1, 8, 8), 500.0), appearance(speckle(40)))
    assert said.startswith("The mean grey level is 500; the training frames had ")
