"""Recorded pairs of noise: frames of 64 px, in memory."""

from collections.abc import Mapping

import torch

from spt.data.pairs import Pairs
from spt.data.source import Source


class RecordedNoise(Source):
    """Each object of a split is behind both of its diffusers, 1 and 2; in ``test_unseen`` they are 3 and 4.

    Args:
        pairs: split to number of pairs, an even one.
        size: side of the objects.
        unseen: what the frames of ``test_unseen`` are multiplied by.
        bad: a training frame that holds infinity.
    """

    def __init__(self, pairs: Mapping[str, int], size: int = 16, unseen: float = 1.0, bad: int | None = None) -> None:
        self.pairs, self.unseen, self.bad = pairs, unseen, bad
        self.side = size

    @property
    def frame_size(self) -> tuple[int, int]:
        """64 px."""
        return (64, 64)

    @property
    def object_size(self) -> tuple[int, int]:
        """That of the squares."""
        return (self.side, self.side)

    def load(self) -> dict[str, Pairs]:
        """Make the pairs."""
        generator, made = torch.Generator().manual_seed(0), {}
        for name, count in self.pairs.items():
            speckle = torch.rand(count, 64, 64, generator=generator) + 0.2
            if name == "train" and self.bad is not None:
                speckle[self.bad, 3, 3] = torch.inf
            if name == "test_unseen":
                speckle *= self.unseen
            objects = (torch.rand(count // 2, *self.object_size, generator=generator) > 0.6).float()
            number = torch.arange(count // 2).repeat(2)
            diffuser = (3 if name == "test_unseen" else 1) + torch.arange(2).repeat_interleave(count // 2)
            made[name] = Pairs(name, speckle, objects[number], diffuser, {"object": number})
        return made
