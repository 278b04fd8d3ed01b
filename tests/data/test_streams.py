"""Streams of random numbers: none is like another, and the device has no part in them."""

import numpy as np
import pytest

from spt.data.streams import PURPOSES, SPLITS, stream
from spt.errors import InvalidValue


def first(rng: np.random.Generator) -> int:
    """64 bits that a stream begins with."""
    return int(rng.integers(0, 2**64, dtype=np.uint64))


@pytest.mark.slow
def test_a_quarter_of_a_million_streams_are_all_different():
    """With 32 bits of state some 7 pairs of them would be equal."""
    keys = [(purpose, number, split) for purpose in PURPOSES for split in SPLITS for number in range(10_000)]
    assert len({first(stream(0, *key)) for key in keys}) == len(keys) == 250_000


def test_media_that_were_equal_with_32_bits_differ():
    assert first(stream(0, "medium", 61869)) != first(stream(0, "medium", 87968))


def test_purposes_splits_seeds_and_numbers_have_streams_of_their_own():
    keys = [
        (seed, purpose, number, split)
        for seed in (0, 1, 2**32, 2**64)
        for purpose in PURPOSES
        for number in (0, 1, 2, 2**32, 2**32 + 1)
        for split in SPLITS
    ]
    assert len({first(stream(*key)) for key in keys}) == len(keys)


def test_a_stream_follows_from_its_arguments_alone():
    one = stream(3, "noise", 7, "val_seen")
    one.random(100)
    assert first(stream(3, "noise", 7, "val_seen")) == first(stream(3, "noise", 7, "val_seen"))


def test_a_negative_seed():
    with pytest.raises(InvalidValue, match="a seed must be 0 or more, got -1"):
        stream(-1, "order", 0)
