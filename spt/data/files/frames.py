"""Images of one size that lie in files: they are read when they are asked for."""

import hashlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.errors import InvalidValue


class Frames(ABC):
    """Images (n, h, w) in files. Indexed like a tensor; only the images that are asked for are read.

    An object of this class can be pickled. It opens its files again in every process that reads them.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Type of the pixels that :meth:`read` gives."""

    @abstractmethod
    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some images, in the order of ``rows``, each from 0 to n - 1.

        Raises:
            InvalidValue: if a file cannot be read; the file is named.
        """

    @abstractmethod
    def name(self, row: int) -> str:
        """File of an image, and its place in the file where this holds several, for messages."""

    def fingerprint(self) -> str:
        """A hash of what decides the pixels: files by name, size and last change, and how they are read.

        Raises:
            InvalidValue: if these images do not say it, as here; ``data.cache=disk`` needs it.
        """
        raise InvalidValue(
            f"data.cache=disk cannot keep {self.name(0)}: {type(self).__name__} does not say which files decide the "
            "pixels. Use data.cache=memory or none."
        )

    @property
    def ndim(self) -> int:
        """Always 3, as of a tensor (n, h, w)."""
        return 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | Sequence[int] | Tensor) -> Shaped[Tensor, "..."]:
        """Images (b, h, w), or one (h, w) for a single number."""
        if isinstance(rows, int):
            return self.read([range(len(self))[rows]])[0]
        if isinstance(rows, slice):
            return self.read(range(len(self))[rows])
        numbers = rows.tolist() if isinstance(rows, Tensor) else list(rows)
        return self.read([range(len(self))[number] for number in numbers])


class Selected(Frames):
    """Some images of others, in a new order; of a tensor, too, without a copy of all of them."""

    def __init__(self, frames: Tensor | Frames, rows: Sequence[int]) -> None:
        self.frames, self.rows = frames, list(rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (len(self.rows), *self.frames.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return self.frames.dtype

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some images."""
        return self.frames[[self.rows[row] for row in rows]]

    def name(self, row: int) -> str:
        """File of an image."""
        number = self.rows[row]
        return self.frames.name(number) if isinstance(self.frames, Frames) else f"image {number}"

    def fingerprint(self) -> str:
        """The images and which of them."""
        if not isinstance(self.frames, Frames):
            return super().fingerprint()
        return digest("selected", self.frames.fingerprint(), self.rows)


class Joined(Frames):
    """The images of several files, one after the other.

    Raises:
        InvalidValue: if they differ in size or in the type of their pixels.
    """

    def __init__(self, parts: Sequence[Frames]) -> None:
        self.parts = list(parts)
        first = self.parts[0]
        for part in self.parts:
            if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype:
                raise InvalidValue(
                    f"{part.name(0)}: images of {part.shape[1]}x{part.shape[2]} px ({part.dtype}), but {first.name(0)} "
                    f"has {first.shape[1]}x{first.shape[2]} px ({first.dtype}). Images of one set have one size and "
                    "one type."
                )
        self.ends = list(accumulate(map(len, self.parts)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (self.ends[-1], *self.parts[0].shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return self.parts[0].dtype

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some images, all of one file in one go."""
        out = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        wanted: dict[int, list[tuple[int, int]]] = {}
        for place, row in enumerate(rows):
            part, inner = self._place(row)
            wanted.setdefault(part, []).append((place, inner))
        for part, both in wanted.items():
            # By numpy: torch does not assign to places of a uint16 tensor.
            out.numpy()[[place for place, _ in both]] = self.parts[part].read([inner for _, inner in both]).numpy()
        return out

    def name(self, row: int) -> str:
        """File of an image."""
        part, inner = self._place(row)
        return self.parts[part].name(inner)

    def fingerprint(self) -> str:
        """All files, in their order."""
        return digest("joined", *(part.fingerprint() for part in self.parts))

    def _place(self, row: int) -> tuple[int, int]:
        """Number of the part that holds an image, and the image's number there."""
        part = bisect_right(self.ends, row)
        return part, row - (self.ends[part - 1] if part else 0)


def digest(*parts: object) -> str:
    """A hash of plain values, such as text, numbers and lists of them."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:32]


def stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file changes: its full name, size and time of the last change.

    Raises:
        OSError: if the file is not there any more.
    """
    status = path.stat()
    return (str(path.resolve()), status.st_size, status.st_mtime_ns)
