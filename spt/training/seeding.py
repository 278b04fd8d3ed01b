"""Random streams of training: of 128 bits each, so that no two epochs or processes share one."""

import random

import numpy as np
import torch
from torch import Tensor

WORDS = 624
"""Length of the Mersenne Twister's state, in words of 32 bits."""


def seed_everything(*stream: int) -> None:
    """Seed Python, NumPy and torch, on every device, by a stream of whole numbers such as (seed, epoch, process).

    ``torch.manual_seed`` uses 32 bits of a seed on the CPU. Among 80,000 such streams two are equal, more likely than
    not; here the whole state of the generator is set instead.

    Source: numpy.random.SeedSequence for the mixing.
    """
    sequence = np.random.SeedSequence(stream)
    words = sequence.generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))  # of the GPUs, which take all 64 bits
    torch.set_rng_state(mersenne_state(sequence))


def mersenne_state(sequence: np.random.SeedSequence) -> Tensor:
    """The state with which torch's CPU generator draws what ``numpy.random.MT19937(sequence)`` draws after one word.

    Source: torch, ``CPUGeneratorImplStateLegacy``: seed, left, seeded, next, then the words, each in 64 bits.
    """
    state = torch.Generator().manual_seed(0).get_state().numpy()
    key = np.random.MT19937(sequence).state["state"]["key"]
    state[24 : 24 + 8 * WORDS] = key.astype("<u8").view(np.uint8)
    return torch.from_numpy(state)
