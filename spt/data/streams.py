"""Streams of random numbers: one for every object, medium, pair and epoch, and none like another."""

import numpy as np

from spt.errors import InvalidValue

SPLITS = ("train", "val_seen", "val_class", "val_unseen", "test_seen")
"""Splits of a simulated set, in the order of their numbers."""

PURPOSES = ("object", "medium", "noise", "order", "augmentation")


def stream(seed: int, purpose: str, number: int, split: str = "train") -> np.random.Generator:
    """The random numbers of one thing that is drawn, whatever was drawn before.

    The state has 128 bits and is derived from all arguments. Different arguments give different streams.

    Args:
        seed: of the whole set, or of the run.
        purpose: ``object``, ``medium``, ``noise`` or ``augmentation`` of a pair, or ``order`` of an epoch.
        number: of the object, medium, pair or epoch.
        split: in which it is numbered; the media of all splits are numbered together, and so are the epochs.
    Raises:
        InvalidValue: if ``seed`` is negative.
    """
    if seed < 0:
        raise InvalidValue(f"a seed must be 0 or more, got {seed}.")
    key = (PURPOSES.index(purpose), SPLITS.index(split), number)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
