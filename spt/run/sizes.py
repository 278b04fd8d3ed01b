"""The sizes of frames, network and objects go together, or one message says so and names settings that work."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import torch
from torch import nn

from spt.data.datamodule import SpeckleDataModule
from spt.data.preparation import Amplitude
from spt.data.preparation.geometry import Geometry, Size, same_aspect
from spt.errors import InvalidValue, WrongSize
from spt.metrics.image import SSIM_WINDOW

LEAST = 0.7
"""Settings that keep less of a side than this share of what is possible are not named."""

FRAME, TARGET = "data.preparation.geometry", "data.preparation.target"


def check_sizes(model: nn.Module, data: SpeckleDataModule) -> None:
    """Refuse sizes that do not go together: the network's image has the size of its input and the object's shape.

    Args:
        model: in evaluation mode.
        data: with its source and preparation.
    Raises:
        InvalidValue: naming all that is wrong, and, for recorded frames, settings that mend all of it.
    """
    with torch.no_grad():
        wrong = list(_wrong(model, data))
        if not wrong:
            return
        if not data.source.recorded:
            raise wrong[0]
        divisor = _divisor(model, data.preparation.channels)
    problems = " ".join(error.problem for error in wrong)
    settings = Search(data, divisor).settings() if isinstance(data.preparation, Amplitude) else []
    remedy = f"Settings that work: {'; or '.join(settings)}." if settings else wrong[0].remedy
    raise InvalidValue(f"{problems} {remedy}")


def _wrong(model: nn.Module, data: SpeckleDataModule) -> Iterator[WrongSize]:
    image = data.object_size
    try:
        shape = data.input_shape
    except WrongSize as error:
        yield error
        return
    try:
        model(torch.zeros(1, *shape))
    except WrongSize as error:
        yield error
    speckle = shape[1:]
    if not same_aspect(speckle, image):
        yield WrongSize(
            f"The network's image has the size of its input, {speckle[0]}x{speckle[1]} px, and the objects have "
            f"{image[0]}x{image[1]} px: another ratio of height to width.",
            f"Crop one of them: {FRAME}.crop=[height,width] or {TARGET}.crop=[height,width].",
        )


def _divisor(model: nn.Module, channels: int) -> int:
    """What the sides of the network's input must be multiples of; 1 where it does not say."""
    try:
        model(torch.zeros(1, channels, 1, 1))
    except WrongSize as error:
        return error.divisor
    except Exception:  # a network of one's own may raise anything on one pixel
        return 1
    return 1


class Search:
    """Looks for settings with which frames and objects of a source go together.

    Args:
        data: source and preparation, as they are set.
        divisor: what the sides of the network's input must be multiples of.
    """

    def __init__(self, data: SpeckleDataModule, divisor: int) -> None:
        self.divisor, self.geometry, self.target = divisor, data.preparation.geometry, data.preparation.target
        self.frame, self.object, self.image = data.source.frame_size, data.source.object_size, data.object_size
        if self.target.rotate % 180:
            self.object = self.object[::-1]

    def settings(self) -> list[str]:
        """At most two, as they are written on the command line, each with what it does."""
        size, crop = self.size(), self.crop()
        if same_aspect(self.frame, self.image) or not crop:
            crop = self.crop_both() or crop
        return [setting for setting in (size, crop) if setting]

    def size(self) -> str | None:
        """The size of the network's input that is nearest to the one that is set, not above that of the frame."""
        try:
            rows, columns = replace(self.geometry, size=None).result(self.frame)
        except WrongSize:
            return None
        wanted = self.geometry.size or (rows, columns)
        height = wanted if isinstance(wanted, int) else wanted[0]
        heights = range(self.divisor, 2 * max(rows, self.divisor) + 1, self.divisor)
        close = [h for h in heights if LEAST * height <= h <= height / LEAST]
        for h in sorted(close, key=lambda h: (h > rows, abs(h - height))):
            for w in _near(h * columns / rows, self.divisor):
                if self._fits(replace(self.geometry, size=[h, w]), self.target.geometry):
                    return f"{FRAME}.size=[{h},{w}] (resizes the frames)"
        return None

    def crop(self) -> str | None:
        """The largest middle of the frames that has the shape of the objects."""
        unit = self.divisor * self.geometry.binning if self.geometry.size is None else 1
        room = self._room()
        largest = min(room[0], room[1] * self.image[0] / self.image[1])
        for h, w in _middles(room, self.image, unit):
            if h < LEAST * largest:
                return None
            if self._fits(replace(self.geometry, crop=[h, w]), self.target.geometry):
                return f"{FRAME}.crop=[{h},{w}] (keeps the middle of the frames)"
        return None

    def crop_both(self) -> str | None:
        """The largest middle of the frames, and the middle of the objects with its shape."""
        unit, target = self.divisor * self.geometry.binning, self.target
        rows, columns = (side // unit * unit for side in self._room())
        if not min(rows, columns) or self.geometry.size or target.size or target.crop:
            return None
        registered = [(rows, columns)] if self.frame == self.object else []
        for h, w in chain(registered, _middles(self.object, (rows, columns), 1)):
            if self._fits(replace(self.geometry, crop=[rows, columns]), replace(target, crop=[h, w]).geometry):
                frames, objects = f"{FRAME}.crop=[{rows},{columns}]", f"{TARGET}.crop=[{h},{w}]"
                if (h, w) == self.object:
                    return f"{frames} (keeps the middle of the frames)"
                return f"{frames} {objects} (keeps the middle of both)"
        return None

    def _room(self) -> Size:
        """What may be cropped: the frame, or the crop that is set."""
        height, width = (self.geometry.crop or self.frame)[-2:]
        return min(height, self.frame[0]), min(width, self.frame[1])

    def _fits(self, frames: Geometry, objects: Geometry) -> bool:
        try:
            speckle, image = frames.result(self.frame), objects.result(self.object)
        except WrongSize:
            return False
        divided = not any(side % self.divisor for side in speckle)
        return divided and min(image) >= SSIM_WINDOW and same_aspect(speckle, image)


def _middles(room: Size, shape: Size, unit: int) -> Iterator[Size]:
    """Sizes of multiples of a unit with about the ratio of height to width of a shape, the largest first."""
    for h in range(room[0] // unit * unit, 0, -unit):
        yield from ((h, w) for w in _near(h * shape[1] / shape[0], unit) if w <= room[1])


def _near(side: float, unit: int) -> list[int]:
    """The multiples of a unit around a side, the nearest first."""
    below = int(side) // unit * unit
    return sorted((w for w in (below, below + unit) if w > 0), key=lambda w: abs(w - side))
