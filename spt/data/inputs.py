"""The network's inputs of all frames of a split, where preparing a frame takes long: made once, not in every epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.cache.cached import kept
from spt.data.files.frames import Frames, digest
from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.data.preparation.base import PIECE
from spt.data.preparation.geometry import Size
from spt.data.settings import describe

SLOW = 2**22
"""Bytes of inputs from which their preparation shows how far it is."""


class PreparedInputs(Frames):
    """Prepared frames, one channel below the other, made when they are asked for."""

    def __init__(self, speckle: Tensor | Frames, preparation: Preparation) -> None:
        self.speckle, self.preparation = speckle, preparation
        self.rows, self.columns = self.read([0]).shape[1:]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of frames, rows of all channels together, columns [px]."""
        return (len(self.speckle), self.rows, self.columns)

    @property
    def dtype(self) -> torch.dtype:
        """Always float32."""
        return torch.float32

    @torch.no_grad()
    def read(self, rows: Sequence[int]) -> Float[Tensor, "b cp q"]:
        """Prepare some frames."""
        some = torch.tensor(list(rows)).split(PIECE)
        return torch.cat([self.preparation(self.speckle[part][:, None]).flatten(1, 2) for part in some])

    def name(self, row: int) -> str:
        """File of a frame."""
        return self.speckle.name(row) if isinstance(self.speckle, Frames) else f"frame {row}"

    def fingerprint(self) -> str:
        """The frames, the settings, and what was found in the training frames."""
        frames = self.speckle.fingerprint() if isinstance(self.speckle, Frames) else describe(self.speckle)
        found = describe(dict(self.preparation.state_dict()))
        return digest("inputs", frames, type(self.preparation).__name__, self.preparation.settings(), found)


class Unstacked(Preparation):
    """Takes channels that lie one below the other apart again: the preparation of frames that are prepared already."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def own_settings(self) -> dict[str, Any]:
        """The number of channels."""
        return {"channels": self.channels}

    def input_size(self, frame: Size, image: Size) -> Size:
        """Height and width of one channel [px]."""
        return (frame[0] // self.channels, frame[1])

    def steps(self, frame: Size, image: Size) -> list[str]:
        """In words."""
        return [f"{self.channels} channels, prepared before"]

    def forward(self, stacked: Float[Tensor, "b 1 cp q"]) -> Float[Tensor, "b c p q"]:
        """The network's inputs."""
        return stacked[:, 0].unflatten(1, (self.channels, -1))


def kept_inputs(splits: Mapping[str, Pairs], preparation: Preparation, cache: str, folder: Path) -> dict[str, Pairs]:
    """The same pairs with the network's inputs as speckles, kept as ``data.cache`` says; see :class:`Unstacked`."""
    stacked = {
        name: replace(pairs, speckle=PreparedInputs(pairs.speckle, preparation)) for name, pairs in splits.items()
    }
    return kept(stacked, cache, folder, "Preparing the frames", SLOW)
