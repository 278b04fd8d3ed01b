"""How to read a file where the file alone does not say."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from spt.errors import InvalidValue

CHANNELS = {"red": 0, "green": 1, "blue": 2}
WORDS = ("rows", "columns")


@dataclass(frozen=True)
class FileSettings:
    """How to read a file where the file alone does not say; None is found, or refused where it is not clear.

    Args:
        axes: meaning of each axis of an array: letters n (number), h, w and c (colour), such as ``hwn`` or ``nhwc``;
            ``rows`` for (n, h*w), ``columns`` for (h*w, n).
        shape: height and width [px] of images that are stored as rows or in raw files.
        order: of the pixels of such a row: ``C`` line by line, ``F`` column by column, as MATLAB stores them.
        colour: what is taken of a colour image: ``luminance``, ``red``, ``green``, ``blue``, or a channel's number.
        dtype: type of the pixels of a raw file, such as ``<u2``.
        offset: bytes before the first pixel of a raw file.
        full_scale: grey level that is white.
        prefix: what stands before the names of these settings in messages, such as ``data.source.``.
    Raises:
        InvalidValue: if a value is none of these.
    """

    axes: str | None = None
    shape: Sequence[int] | None = None
    order: Literal["C", "F"] = "C"
    colour: str | int | None = None
    dtype: str | None = None
    offset: int = 0
    full_scale: float | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.shape is not None and _is_size(self.shape):
            object.__setattr__(self, "shape", tuple(self.shape))
        rules = {
            "axes": (_is_axes(self.axes), "letters of n, h, w and c, h and w among them, or rows or columns"),
            "shape": (self.shape is None or _is_size(self.shape), "[height,width] in px"),
            "order": (self.order in ("C", "F"), "C or F"),
            "colour": (_is_channel(self.colour), "luminance, red, green, blue, or a number from 0"),
            "dtype": (
                self.dtype is None or _is_number_type(self.dtype),
                "a type of numbers, such as <u2, >u2, u1, <f4",
            ),
            "offset": (isinstance(self.offset, int) and self.offset >= 0, "0 or more bytes"),
            "full_scale": (self.full_scale is None or _is_level(self.full_scale), "a number above 0"),
        }
        for name, (fine, rule) in rules.items():
            if not fine:
                raise InvalidValue(f"{self.prefix}{name} must be {rule}, got {getattr(self, name)}.")


def _is_axes(axes: Any) -> bool:
    if axes is None or axes in WORDS:
        return True
    return isinstance(axes, str) and set("hw") <= set(axes) <= set("nhwc") and len(set(axes)) == len(axes)


def _is_size(shape: Any) -> bool:
    return isinstance(shape, Sequence) and len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape)


def _is_level(level: Any) -> bool:
    return isinstance(level, int | float) and 0 < level < inf


def _is_channel(colour: str | int | None) -> bool:
    if isinstance(colour, int):
        return colour >= 0
    return colour in (None, "luminance", *CHANNELS)


def _is_number_type(text: str) -> bool:
    try:
        return np.dtype(text).kind in "buif"
    except (TypeError, ValueError, SyntaxError):
        return False
