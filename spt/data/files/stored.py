"""An array in a file, read part by part: what every format of arrays offers, and the frames that are made of it."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.files.frames import Frames, digest, stamp
from spt.data.files.layout import Layout
from spt.data.files.pixels import check_colour, one_channel, pixel_type, to_pixels
from spt.data.files.problems import check_memory, reading
from spt.data.files.settings import FileSettings


class StoredArray(ABC):
    """An array in a file. Only its header is read until a part of it is asked for."""

    kind: str
    """Name of the format, for messages."""
    title: str
    """File, and key of the array, for messages."""
    shape: tuple[int, ...]
    """Size of every axis."""
    dtype: np.dtype
    """Type of the numbers."""
    path: Path
    """The file."""

    @property
    def source(self) -> Path | bytes:
        """The file, or its content where it has none."""
        return self.path

    @abstractmethod
    def take(self, axis: int, rows: Sequence[int]) -> Shaped[np.ndarray, "..."]:
        """Some places along an axis, in the order of ``rows``; a place may be asked for more than once."""

    def whole(self) -> Shaped[np.ndarray, "..."]:
        """The whole array."""
        return self.take(0, range(self.shape[0]))

    def needed(self, axis: int | None) -> int:
        """Bytes that are read for one place along an axis, or for the whole array."""
        return prod(self.shape) * self.dtype.itemsize // (1 if axis is None else self.shape[axis])


class ArrayFrames(Frames):
    """Images of an array in a file.

    Args:
        stored: the array.
        layout: which axis is which.
        settings: which channel of colour images is taken.
    Raises:
        InvalidValue: if one image does not fit into the memory, or colour is not reduced to one channel.
    """

    def __init__(self, stored: StoredArray, layout: Layout, settings: FileSettings) -> None:
        self.stored, self.layout, self.settings = stored, layout, settings
        self.axis = layout.axes.index("n") if "n" in layout.axes else None
        channels = layout.channels(stored.shape)
        check_memory(stored.title, prod(layout.image), stored.needed(self.axis))
        if channels > 2 or (channels == 2 and settings.colour is not None):
            check_colour(channels, settings, stored.title)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (self.layout.number(self.stored.shape), *self.layout.image)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return pixel_type(self.stored.dtype)

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some images.

        Raises:
            InvalidValue: if the file cannot be read.
        """
        stored = self.stored
        if len(rows) == 0:
            return torch.empty((0, *self.layout.image), dtype=self.dtype)
        with reading(stored.title, stored.kind):
            if self.axis is None:
                images = self.layout.images(stored.whole()).repeat(len(rows), 0)
            else:
                images = self.layout.images(stored.take(self.axis, rows))
            grey = one_channel(images, self.settings, stored.title)
            return to_pixels(grey, stored.title)

    def name(self, row: int) -> str:
        """File of an image, and its number in the file."""
        return f"{self.stored.title}[{row}]" if self.axis is not None else self.stored.title

    def fingerprint(self) -> str:
        """The file, and how its array is read."""
        source, layout = self.stored.source, self.layout
        with reading(self.stored.title, self.stored.kind):
            content = stamp(source) if isinstance(source, Path) else hashlib.sha256(source).hexdigest()
        values = {name: str(value) for name, value in vars(self.stored).items() if not isinstance(value, bytes)}
        how = (layout.axes, layout.image, layout.order, self.settings.colour)
        return digest(self.stored.kind, content, values, *how)
