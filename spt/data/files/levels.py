"""Which grey level of a set of objects is white."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.files.frames import Frames, digest
from spt.data.readers import evenly
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
        depth = {torch.uint8: "8 bit", torch.uint16: "16 bit", torch.bool: "1 bit"}
        return depth.get(self.dtype, str(self.dtype).removeprefix("torch."))

    @property
    def other(self) -> str:
        """What to set the full scale to, if what was found is wrong."""
        return {torch.uint8: "=255", torch.uint16: "=65535"}.get(self.dtype, " to the value that is white")


def describe_levels(frames: Frames, sample: int = SAMPLE) -> Levels:
    """Range of a sample that is evenly spread over the set.

    Raises:
        InvalidValue: if a file cannot be read, or an image holds NaN or infinite values; it is named.
    """
    rows = evenly(len(frames), sample)
    return levels_of((frames.name(row), frames.read([row])) for row in rows)


def levels_of(images: Iterable[tuple[str, Tensor]]) -> Levels:
    """Range of images, each with the name that messages give it.

    Raises:
        InvalidValue: if an image holds NaN or infinite values; it is named.
    """
    low, high, whole, types = float("inf"), -float("inf"), True, {torch.bool}
    for name, image in images:
        numbers = _numbers(image)
        _check_finite(numbers, name)
        low, high = min(low, numbers.min().item()), max(high, numbers.max().item())
        whole = whole and (not image.is_floating_point() or bool((numbers == numbers.round()).all()))
        if image.dtype not in types and len(types) > 1:
            raise InvalidValue(
                f"{name} holds {image.dtype}, and other images of this set {max(types, key=str)}. Use one type."
            )
        types.add(image.dtype)
    return Levels(low, high, whole, max(types, key=lambda kind: (kind.itemsize, kind != torch.bool)))


def find_full_scale(levels: Levels, name: str, setting: str) -> tuple[float, str]:
    """Grey level that is white, and the sentence that says why.

    Raises:
        InvalidValue: if the values are negative, almost black, or allow no conclusion.
    """
    low, high = levels.low, levels.high
    span = f"values {low:g}..{high:g} in {levels.kind}"
    if low < 0:
        raise InvalidValue(f"{name}: {span}. An object has no negative values. Scale the images to [0, 1].")
    if levels.dtype == torch.bool or (levels.whole and 0 < high <= 1):
        return 1.0, f"{span}: masks of 0 and 1; set {setting}{levels.other} if that is wrong"
    white, why = _conclude(levels)
    if white is None:
        raise InvalidValue(f"{name}: {span}, and which value is white cannot be seen. Set {setting}.")
    if high < DARK * white:
        raise InvalidValue(
            f"{name}: {span}, and white would be {white:g} ({why}), so that the objects would be almost black. Set "
            f"{setting} to the value that is white."
        )
    certain = levels.dtype == torch.uint8 or white == 65535 or (white == 1 and not levels.whole)
    wrong = "" if certain else f"; set {setting}{levels.other} if that is wrong"
    return float(white), f"{span}: {why}, full scale {white:g}{wrong}"


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
        scaled = divided(images, self.white, [self.name(row) for row in rows], self.setting)
        return images * 255 if self.dtype == torch.uint8 else scaled

    def name(self, row: int) -> str:
        """File of an image."""
        return self.frames.name(row)

    def fingerprint(self) -> str:
        """The images and their full scale."""
        return digest("objects", self.frames.fingerprint(), self.white)


def divided(
    images: Shaped[Tensor, "b h w"], white: float, names: Sequence[str], setting: str
) -> Float[Tensor, "b h w"]:
    """Images divided by their full scale; the full scale of masks of one bit is 1.

    Raises:
        InvalidValue: if an image is outside the full scale; image and setting are named.
    """
    if images.dtype == torch.bool:
        return images.float()
    numbers = _numbers(images)
    for image, name in zip(numbers, names, strict=True):
        _check_finite(image, name)
    bad = ~((numbers >= 0) & (numbers <= white)).flatten(1).all(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        low, high = numbers[first].min().item(), numbers[first].max().item()
        raise InvalidValue(
            f"{names[first]}: values {low:g}..{high:g}, but the full scale of this set is {white:g}. Set {setting} to "
            "the value that is white in all images, or leave this one out."
        )
    return (numbers / white).float()


def _check_finite(image: Tensor, name: str) -> None:
    if image.is_floating_point() and not image.isfinite().all():
        raise InvalidValue(f"{name} holds NaN or infinite values. Mend or leave out this image.")


def _numbers(images: Tensor) -> Tensor:
    """The images in a type that torch computes with, without loss."""
    return images if images.is_floating_point() else images.to(torch.int32)
