import numpy as np
import pytest
import torch

from spt.data.pairs import Pairs, PreparedTargets, with_targets
from spt.data.preparation import TargetPreparation

IMAGE = torch.tensor([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]])


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turned_counter_clockwise(angle):
    expected = np.rot90(IMAGE[0].numpy(), angle // 90)
    assert np.array_equal(TargetPreparation(rotate=angle)(IMAGE)[0].numpy(), expected)


@pytest.mark.parametrize(("flip", "axes"), [("horizontal", 1), ("vertical", 0), ("both", (0, 1))])
def test_flipped(flip, axes):
    assert np.array_equal(TargetPreparation(flip=flip)(IMAGE)[0].numpy(), np.flip(IMAGE[0].numpy(), axes))


def test_it_turns_before_it_flips():
    expected = np.flip(np.rot90(IMAGE[0].numpy()), 1)
    assert np.array_equal(TargetPreparation(rotate=90, flip="horizontal")(IMAGE)[0].numpy(), expected)


def test_threshold_and_levels():
    assert TargetPreparation(threshold=0.35)(IMAGE).flatten().tolist() == [0, 0, 0, 1, 1, 1]
    assert TargetPreparation(levels=3)(IMAGE).flatten().tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5]


def test_the_size_follows_the_turn():
    assert TargetPreparation(rotate=90, crop=[2, 2], size=4).result((6, 9)) == (4, 4)
    assert TargetPreparation(rotate=90).result((6, 9)) == (9, 6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotate": 45}, "rotate must be 0, 90, 180 or 270, got 45"),
        ({"flip": "left"}, "flip must be one of horizontal, vertical, both or null, got 'left'"),
        ({"threshold": 1.0}, r"threshold must lie in \[0, 1\)"),
        ({"levels": 1}, "levels must be at least 2 or null, got 1"),
        ({"size": 0}, "target.size must be a side"),
    ],
)
def test_values_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        TargetPreparation(**settings)


def test_objects_are_prepared_when_they_are_asked_for():
    objects = torch.randint(0, 256, (5, 4, 4), dtype=torch.uint8)
    lazy = PreparedTargets(objects, TargetPreparation(size=2))
    assert lazy.shape == (5, 2, 2)
    mean = objects[3].float().view(2, 2, 2, 2).mean((1, 3)) / 255
    assert torch.allclose(lazy[3], mean)


def test_pairs_without_a_preparation_are_left_alone():
    pairs = Pairs("train", torch.rand(3, 4, 4), torch.rand(3, 4, 4), torch.zeros(3))
    assert with_targets(pairs, TargetPreparation()) is pairs
    assert torch.equal(with_targets(pairs, TargetPreparation(rotate=180)).target, pairs.target.flip(1, 2))
