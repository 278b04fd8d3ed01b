"""Which axis of an array is which: number, height, width, colour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from jaxtyping import Shaped

from spt.data.files.settings import FileSettings
from spt.errors import InvalidValue

ODD = 2.0
"""Height over width, or width over height, beyond which an image is unlikely."""
COLOURS = (3, 4)


@dataclass(frozen=True)
class Layout:
    """Meaning of the axes of an array.

    Args:
        axes: a letter for each axis: n, h, w, c, or p for the pixels of an image in one row.
        image: height and width [px].
        order: of the pixels of a row, see :class:`spt.data.files.settings.FileSettings`.
        said: what was concluded from the sizes, for the log; empty where nothing had to be.
    """

    axes: str
    image: tuple[int, int]
    order: str = "C"
    said: str = ""

    def number(self, shape: Sequence[int]) -> int:
        """How many images there are."""
        return shape[self.axes.index("n")] if "n" in self.axes else 1

    def channels(self, shape: Sequence[int]) -> int:
        """How many channels an image has."""
        return shape[self.axes.index("c")] if "c" in self.axes else 1

    def images(self, block: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "b h w c"]:
        """Bring images to number, height, width, channel."""
        axes = self.axes
        if "n" not in axes:
            axes, block = "n" + axes, block[None]
        if "p" in axes:
            flat = block if axes == "np" else block.T
            height, width = self.image
            if self.order == "C":
                return flat.reshape(-1, height, width, 1)
            return flat.reshape(-1, width, height, 1).swapaxes(1, 2)
        if "c" not in axes:
            axes, block = axes + "c", block[..., None]
        return block.transpose([axes.index(letter) for letter in "nhwc"])


def find_layout(
    name: str, shape: Sequence[int], settings: FileSettings, partner: int | None = None, matlab: bool = False
) -> Layout:
    """Say which axis is which, from the settings, or from the sizes where these leave no doubt.

    Args:
        name: what messages call the array.
        shape: of the array.
        settings: ``axes``, ``shape`` and ``colour`` decide.
        partner: number of images of the array that belongs to it, which shows the axis of the number.
        matlab: whether the file is of MATLAB, where (h, w, n) is usual.
    Raises:
        InvalidValue: if the settings do not fit, or the sizes allow several readings; the message says what to set.
    """
    array = _Array(name, tuple(shape), settings, partner, matlab)
    if settings.axes is not None:
        return array.as_set(settings.axes)
    finders: dict[int, Callable[[], Layout]] = {2: array.two, 3: array.three, 4: array.four}
    if array.ndim not in finders:
        raise array.refused("images (n, h, w), (n, h, w, 1), (n, 1, h, w), (h, w, n), (h, w) or rows (n, h*w) are read")
    return finders[array.ndim]()


@dataclass(frozen=True)
class _Array:
    name: str
    shape: tuple[int, ...]
    settings: FileSettings
    partner: int | None
    matlab: bool

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def refused(self, why: str) -> InvalidValue:
        return InvalidValue(f"{self.name} has shape {self.shape}, and {why}.")

    def ask(self, *choices: str) -> InvalidValue:
        """The error that asks for a setting, each choice with what it means."""
        prefix = self.settings.prefix
        return self.refused(f"this can be {' or '.join(choices)}".replace("SET ", f"set {prefix}"))

    def named(self, axes: str, said: str = "") -> Layout:
        """A layout by its letters."""
        height, width = (self.shape[axes.index(letter)] for letter in "hw")
        return Layout(axes, (height, width), said=said)

    def concluded(self, axes: str, why: str) -> Layout:
        """A layout that follows from the sizes, with the sentence that says so."""
        plain = self.named(axes)
        count, prefix = plain.number(self.shape), self.settings.prefix
        said = (
            f"{self.name}: shape {self.shape} is read as {count} images of {plain.image[0]}x{plain.image[1]} px "
            f"({prefix}axes={axes}), because {why}"
        )
        return self.named(axes, said)

    def choice(self, axes: str) -> str:
        """A reading in words, with the setting that takes it."""
        plain = self.named(axes)
        return f"{plain.number(self.shape)} images of {plain.image[0]}x{plain.image[1]} px (SET axes={axes})"

    def as_set(self, axes: str) -> Layout:
        if axes in ("rows", "columns"):
            return self.rows("np" if axes == "rows" else "pn")
        if len(axes) != self.ndim:
            raise self.refused(f"{self.settings.prefix}axes={axes} names {len(axes)} axes")
        return self.named(axes)

    def rows(self, axes: str) -> Layout:
        shape, prefix = self.settings.shape, self.settings.prefix
        if self.ndim != 2:
            raise self.refused(f"rows of pixels need two axes: {prefix}axes={self.settings.axes}")
        pixels = self.shape[axes.index("p")]
        if shape is None:
            side = isqrt(pixels)
            hint = f"{prefix}shape=[{side},{side}]" if side**2 == pixels else f"{prefix}shape=[height,width]"
            raise self.refused(f"an image is a row of {pixels} pixels. Set {hint}")
        height, width = shape
        if height * width != pixels:
            raise self.refused(f"rows of {pixels} pixels are no images of {prefix}shape={list(shape)}")
        return Layout(axes, (height, width), self.settings.order)

    def two(self) -> Layout:
        """One image, or rows of pixels."""
        first, second = self.shape
        if self.settings.shape is not None:
            pixels = self.settings.shape[0] * self.settings.shape[1]
            if self.shape == tuple(self.settings.shape):
                return self.named("hw")
            if first == second == pixels:
                raise self.ask("one image a row (SET axes=rows)", "one a column (SET axes=columns)")
            return self.rows("pn" if first == pixels else "np")
        alone = self.partner in (None, 1)
        ratio = max(self.shape) / min(self.shape)
        # Nothing is square by chance: 784 pixels in a row are 28x28.
        flat = isqrt(second) ** 2 == second and second >= 64 and first != second
        if alone and ratio <= ODD and not flat:
            return self.named("hw")
        side = f"{isqrt(second)},{isqrt(second)}" if flat else "height,width"
        one = f"one image of {first}x{second} px (SET axes=hw)"
        raise self.ask(f"{first} images as rows of {second} pixels (SET shape=[{side}])", one)

    def three(self) -> Layout:
        """Number first or last; or one colour image."""
        first, middle, last = self.shape
        if last == 1 or (first == 1 and last > 1):
            return self.named("hwn" if last == 1 else "nhw")
        if last in COLOURS and min(first, middle) > max(COLOURS):
            return self.colour_or_number()
        if self.partner is not None and (first == self.partner) != (last == self.partner):
            return self.by_partner("nhw" if first == self.partner else "hwn")
        return self.by_aspect()

    def colour_or_number(self) -> Layout:
        if self.settings.colour is not None:
            return self.named("hwc")
        if self.partner == self.shape[2] or (self.matlab and self.partner == self.shape[0]):
            return self.by_partner("hwn" if self.partner == self.shape[2] else "nhw")
        raise self.ask("one colour image (SET colour=luminance)", self.choice("hwn"), self.choice("nhw"))

    def by_partner(self, axes: str) -> Layout:
        other = "nhw" if axes == "hwn" else "hwn"
        if _aspect(self.named(axes)) > ODD and _aspect(self.named(other)) == 1:
            raise self.ask(self.choice(axes), self.choice(other))
        if axes == "nhw" and not self.matlab:
            return self.named(axes)
        return self.concluded(axes, f"the array that belongs to it has {self.partner} images")

    def by_aspect(self) -> Layout:
        """The reading with plausible images, where there is exactly one."""
        aspects = {axes: _aspect(self.named(axes)) for axes in ("nhw", "hwn")}
        likely = [axes for axes, aspect in aspects.items() if aspect == 1]
        likely = likely or [axes for axes, aspect in aspects.items() if aspect <= ODD]
        if likely == ["nhw"] and not self.matlab:
            return self.named("nhw")
        if len(likely) == 1 and self.matlab:
            why = "these images are square" if aspects[likely[0]] == 1 else "other axes would be very long images"
            return self.concluded(likely[0], why)
        raise self.ask(self.choice("nhw"), self.choice("hwn"))

    def four(self) -> Layout:
        """An axis of one channel, or of three or four colours, shows the others."""
        for sizes in ((1,), COLOURS):
            found = [axes for axes in ("nchw", "nhwc", "hwcn") if self.fits(axes, sizes)]
            if len(found) > 1 and sizes == (1,):
                found = [axes for axes in found if min(self.named(axes).image) > 1][:1]
            if len(found) > 1:
                raise self.ask(*map(self.choice, found))
            if found:
                return self.named(found[0]) if found[0] != "nhwc" else self.channel_last()
        raise self.refused(
            "no axis is one channel, or three or four colours: (n, h, w, c), (n, c, h, w) and, from MATLAB, "
            f"(h, w, c, n) are read. Set {self.settings.prefix}axes"
        )

    def channel_last(self) -> Layout:
        """(n, h, w, c): the number may still be last of the three."""
        count = self.shape[3]
        inner = _Array(self.name, self.shape[:3], self.settings, self.partner, self.matlab)
        if inner.shape[2] in COLOURS or inner.shape[0] == 1 or count > 1:
            return self.named("nhwc")
        plain = inner.three()
        return Layout(plain.axes + "c", plain.image, said=plain.said)

    def fits(self, axes: str, sizes: Sequence[int]) -> bool:
        plain = self.named(axes)
        return plain.channels(self.shape) in sizes and min(plain.image) > max(sizes)


def _aspect(layout: Layout) -> float:
    return max(layout.image) / min(layout.image)
