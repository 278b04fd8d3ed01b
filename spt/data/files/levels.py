"""Which grey level of a set of objects is white."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.files.frames import Frames
from spt.errors import InvalidValue

SAMPLE = 64
"""Images, evenly spread over the set, that show its range."""
DEPTHS = {255: "8-bit", 1023: "10-bit", 4095: "12-bit", 16383: "14-bit", 65535: "16-bit"}
DARK = 0.1
"""Share of the full scale below which the brightest value is suspicious."""


@dataclass(frozen=True)
class Levels:
    """Range of a set of images.

    Args:
        low: lowest value of the sample.
        high: highest value of the sample.
        whole: whether all values are whole numbers.
        dtype: type of the pixels.
    """

    low: float
    high: float
    whole: bool
    dtype: torch.dtype

    @property
    def kind(self) -> str:
        """Name of the type."""
        return str(self.dtype).removeprefix("torch.")


def describe_levels(frames: Frames, sample: int = SAMPLE) -> Levels:
    """Range of a sample that is evenly spread over the set.

    Raises:
        InvalidValue: if a file cannot be read, or an image holds NaN or infinite values; it is named.
    """
    count = len(frames)
    rows = sorted({round(k * (count - 1) / max(min(sample, count) - 1, 1)) for k in range(min(sample, count))})
    low, high, whole = float("inf"), -float("inf"), True
    for row in rows:
        image = frames.read([row])
        numbers = _numbers(image)
        if not numbers.isfinite().all():
            raise InvalidValue(f"{frames.name(row)} holds NaN or infinite values. Mend or leave out this image.")
        low, high = min(low, numbers.min().item()), max(high, numbers.max().item())
        whole = whole and (not image.is_floating_point() or bool((numbers == numbers.round()).all()))
    return Levels(low, high, whole, frames.dtype)


def find_full_scale(levels: Levels, name: str, setting: str) -> tuple[float, str]:
    """Grey level that is white, and the sentence that says why.

    Raises:
        InvalidValue: if the values are negative, almost black, or allow no conclusion.
    """
    low, high, kind = levels.low, levels.high, levels.kind
    span = f"values {low:g}..{high:g} in {kind}"
    if low < 0:
        raise InvalidValue(f"{name}: {span}. An object has no negative values. Scale the images to [0, 1].")
    if levels.dtype == torch.bool or (levels.whole and 0 < high <= 1):
        return 1.0, f"{span}: masks of 0 and 1; set {setting}=255 if that is wrong"
    white, why = _conclude(levels)
    if white is None:
        raise InvalidValue(f"{name}: {span}, and which value is white cannot be seen. Set {setting}.")
    if high < DARK * white:
        raise InvalidValue(
            f"{name}: {span}, and white would be {white:g} ({why}), so that the objects would be almost black. Set "
            f"{setting} to the value that is white."
        )
    return float(white), f"{span}: {why}, full scale {white:g}; set {setting} if that is wrong"


def _conclude(levels: Levels) -> tuple[float | None, str]:
    high = levels.high
    if not levels.whole:
        if high <= 1:
            return 1, "floats in [0, 1]"
        return (255, "floats of 8 bit") if 127 < high <= 255 else (None, "")
    if levels.dtype == torch.uint8:
        return 255, "8 bit"
    white = next((depth for depth in DEPTHS if high <= depth), None)
    return white, "" if white is None else f"{DEPTHS[white]} camera" if white != 255 else "8 bit"


def as_objects(
    frames: Frames, full_scale: float | None = None, setting: str = "data.source.full_scale"
) -> tuple[Frames, str]:
    """Objects in [0, 1], read when they are asked for, and a sentence for the log that says how they were scaled.

    Args:
        frames: images in the grey levels of their files.
        full_scale: grey level that is white; None finds it in an evenly spread sample.
        setting: name of ``full_scale`` in messages.
    Returns:
        The objects, uint8 with 255 as white or float32 in [0, 1], and the sentence.
    Raises:
        InvalidValue: if the full scale cannot be found, or the brightest value of the sample is below a tenth of it.
    """
    if full_scale is not None:
        return Objects(frames, full_scale, setting), f"{frames.name(0)}: full scale {full_scale:g}, as {setting} says"
    white, sentence = find_full_scale(describe_levels(frames), frames.name(0), setting)
    return Objects(frames, white, setting), f"{frames.name(0)}: {sentence}"


class Objects(Frames):
    """Images divided by their full scale.

    Args:
        frames: images in the grey levels of their files.
        white: the full scale.
        setting: what decides it, for messages.
    """

    def __init__(self, frames: Frames, white: float, setting: str) -> None:
        self.frames, self.white, self.setting = frames, white, setting

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return self.frames.shape

    @property
    def dtype(self) -> torch.dtype:
        """uint8 where every value is a level of 8 bit, else float32."""
        small = self.frames.dtype in (torch.bool, torch.uint8)
        return torch.uint8 if small and self.white in (1, 255) else torch.float32

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Read some objects.

        Raises:
            InvalidValue: if an image is outside the full scale; file, image and setting are named.
        """
        images = self.frames.read(rows)
        if images.dtype == torch.bool:
            return images.to(torch.uint8) * 255
        if images.dtype == torch.uint8 and self.white == 255:
            return images
        numbers = _numbers(images)
        self._check(numbers, rows)
        if self.dtype == torch.uint8:
            return images * 255
        return (numbers / self.white).float()

    def name(self, row: int) -> str:
        """File of an image."""
        return self.frames.name(row)

    def _check(self, numbers: Tensor, rows: Sequence[int]) -> None:
        bad = ~((numbers >= 0) & (numbers <= self.white)).flatten(1).all(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            low, high = numbers[first].min().item(), numbers[first].max().item()
            raise InvalidValue(
                f"{self.name(rows[first])}: values {low:g}..{high:g}, but the full scale of this set is "
                f"{self.white:g}. Set {self.setting} to the value that is white in all images, or leave this one out."
            )


def _numbers(images: Tensor) -> Tensor:
    """The images in a type that torch computes with, without loss."""
    return images if images.is_floating_point() else images.to(torch.int32)
