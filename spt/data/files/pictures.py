"""Pictures that Pillow reads: PNG, BMP, JPEG, JPEG 2000, and the compressed pages of TIFF files."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor

from spt.data.files.frames import Frames, digest, stamp
from spt.data.files.pixels import channel_number, check_colour, pixel_type, to_pixels
from spt.data.files.problems import check_memory, reading
from spt.data.files.settings import FileSettings
from spt.errors import InvalidValue

GREY = {"1": "?", "L": "u1", "I": "i4", "F": "f4", "I;16": "u2", "I;16L": "u2", "I;16B": "u2", "I;16N": "u2"}
"""Type of the pixels by the mode of Pillow, for pictures of one channel."""


class PictureFile(Frames):
    """One picture: PNG, BMP, JPEG or JPEG 2000.

    Args:
        title: what messages call the file.
        file: where it lies, or its content. Its header is read now, the pixels when they are asked for.
        settings: which channel of a colour picture is taken.
    Raises:
        InvalidValue: if it is no picture, has colours that no setting reduces, or claims a size that fills the memory.
    """

    def __init__(self, title: str, file: Path | bytes, settings: FileSettings) -> None:
        self.title, self.file, self.settings = title, file, settings
        with self._opened() as picture:
            self._dtype = _check(title, picture, settings)
            self._size = (picture.height, picture.width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return (1, *self._size)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return pixel_type(self._dtype)

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read the picture, once for every row.

        Raises:
            InvalidValue: if it is truncated, or not what it was when it was opened.
        """
        with self._opened() as picture:
            if (picture.height, picture.width) != self._size or _check(
                self.title, picture, self.settings
            ) != self._dtype:
                raise InvalidValue(f"{self.title} has changed since it was opened. Start again.")
            image = to_pixels(_grey(picture, self.settings).astype(self._dtype, copy=False), self.title)
        return image[None] if len(rows) == 1 else image.repeat(len(rows), 1, 1)

    def name(self, row: int) -> str:
        """The file."""
        return self.title

    def fingerprint(self) -> str:
        """The file, or its content, and which channel is taken."""
        with reading(self.title, "a picture"):
            source = hashlib.sha256(self.file).hexdigest() if isinstance(self.file, bytes) else stamp(self.file)
        return digest("picture", self.title, source, self._dtype.str, self._size, self.settings.colour)

    @contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        file = io.BytesIO(self.file) if isinstance(self.file, bytes) else self.file
        with reading(self.title, "a picture"), Image.open(file) as picture:
            yield picture


def _grey(picture: Image.Image, settings: FileSettings) -> Shaped[np.ndarray, "h w"]:
    """The pixels of an open picture, colours reduced to one channel."""
    if picture.mode in GREY:
        return np.asarray(picture)
    if _grey_palette(picture) or picture.mode in ("LA", "La") or settings.colour == "luminance":
        return np.asarray(picture.convert("RGB").convert("L") if picture.mode == "RGBA" else picture.convert("L"))
    return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)[..., channel_number(settings)]


def _check(name: str, picture: Image.Image, settings: FileSettings) -> np.dtype:
    """Refuse what is no single image of grey levels; the type of the pixels."""
    check_memory(name, picture.width * picture.height, 4 * picture.width * picture.height)
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        raise InvalidValue(f"{name} holds {picture.n_frames} pictures. Save one image a file.")  # type: ignore[attr-defined]
    if picture.mode in GREY:
        # Before Pillow 11, PNG files of 16 bit were opened as 32-bit integers.
        return np.dtype("u2" if picture.mode == "I" and picture.format == "PNG" else GREY[picture.mode])
    if not _grey_palette(picture) and picture.mode not in ("LA", "La"):
        check_colour(3 if picture.mode == "P" else len(picture.getbands()), settings, name)
        if picture.format == "PNG" and ";16" in str(getattr(picture, "tile", "")):
            raise InvalidValue(
                f"{name} has colours of 16 bit, which are read as 8 bit. Save one channel, or a TIFF file."
            )
    return np.dtype(np.uint8)


def _grey_palette(picture: Image.Image) -> bool:
    if picture.mode != "P" or picture.palette is None:
        return False
    palette = picture.getpalette("RGB") or [0, 1]
    return palette[0::3] == palette[1::3] == palette[2::3]
