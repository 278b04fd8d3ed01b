"""What every source of pairs offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from spt.data.pairs import Pairs
from spt.errors import InvalidValue


class Source(ABC):
    """Where pairs come from: a simulation, a file, the measurements of a laboratory.

    A new source defines ``load``, and ``size`` or both ``frame_size`` and ``object_size``. The rest has a default.
    """

    size: int
    """Side of speckles and objects [px], where both are squares of one size."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the recorded speckles [px]; known before anything is loaded."""
        return self.size, self.size

    @property
    def object_size(self) -> tuple[int, int]:
        """Height and width of the objects [px], before their preparation."""
        return self.frame_size

    @property
    def recorded(self) -> bool:
        """Whether somebody divided recorded pairs, so that their splits are checked for leaks."""
        return True

    @abstractmethod
    def load(self) -> dict[str, Pairs]:
        """Split name to pairs. ``train`` and ``val_seen`` are always there."""

    def prepare(self) -> None:  # noqa: B027  # a source without slow work leaves it out
        """Do once what is slow, before anything is built: simulate, check that files are there; nothing here."""

    def simulation(self, fresh: bool = False) -> "Simulation":
        """The simulation behind this source, for files of simulated pairs and for online training.

        Args:
            fresh: whether every number of a training pair must show a diffuser of its own.
        Raises:
            InvalidValue: if the source simulates nothing, as here, or its diffusers are fixed.
        """
        raise InvalidValue(
            f"{type(self).__name__} reads pairs that were recorded, and this needs simulated ones. Choose a simulated "
            "set, for example data=weak_scatter."
        )


class Simulation(ABC):
    """Pairs that are simulated from settings alone, each by its split and number."""

    size: int
    """Side of speckles and objects [px]."""

    @property
    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Pairs of each split."""

    @property
    @abstractmethod
    def processor(self) -> torch.device:
        """Where it is simulated."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON types; ``seed`` is one of them."""

    @abstractmethod
    def columns(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of what is stored of each pair, by name."""

    @abstractmethod
    def draw_objects(self, split: str, numbers: Sequence[int]) -> UInt8[Tensor, "n h w"]:
        """The objects of pairs, as the optics see them."""

    def shown(self, train: Pairs) -> UInt8[Tensor, "n h w"]:
        """The objects of the training pairs, as the optics see them."""
        return self.draw_objects("train", range(len(train)))

    @abstractmethod
    def simulate(
        self, split: str, numbers: Sequence[int], objects: UInt8[Tensor, "n h w"], device: torch.device
    ) -> dict[str, Tensor]:
        """Simulate pairs: what :meth:`columns` names, (n, ...), on ``device`` where it was computed there.

        A pair follows from (settings, split, number) alone, whatever else is simulated with it. Numbers of ``train``
        may exceed the training pairs: epoch times pairs, plus the pair's own.
        """
