"""Random streams of training: 128 bits, the same on every call, never the same for two names."""

import random

import numpy as np
import torch

from spt.training.seeding import mersenne_state, seed_everything


def test_torch_draws_what_numpy_draws_from_the_same_state():
    """Guards the layout of torch's state: words 2, 4, 6 … of the raw stream are the low halves of its 64-bit draws."""
    sequence = np.random.SeedSequence([1, 2, 3])
    generator = torch.Generator()
    generator.set_state(mersenne_state(sequence))
    drawn = torch.randint(0, 2**31, (500,), generator=generator)
    raw = np.random.MT19937(sequence).random_raw(1001)
    assert drawn.tolist() == (raw[2::2] % 2**31).tolist()


def test_python_numpy_and_torch_repeat_a_stream():
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(1).item()

    seed_everything(5, 1, 0)
    first, second = draw(), draw()
    seed_everything(5, 1, 0)
    assert draw() == first != second


def test_streams_that_32_bits_would_confuse_differ():
    """torch.manual_seed gives these two the same numbers."""
    state = [mersenne_state(np.random.SeedSequence([seed])) for seed in (7, 7 + 2**32)]
    assert torch.equal(*(torch.Generator().manual_seed(seed).get_state()[24:5016] for seed in (7, 7 + 2**32)))
    assert not torch.equal(*(s[24:5016] for s in state))
