"""Which pixels of a frame are used, and on which grid."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from spt.errors import InvalidValue, WrongSize
from spt.optics.resampling import resized

Size = tuple[int, int]
"""Height and width [px]."""

LARGEST = 2**14
"""Side of the largest image [px]."""


@dataclass(frozen=True)
class Geometry:
    """Crop, then average pixels, then resize. Nothing is cropped or squeezed without a setting that says so.

    Args:
        crop: [height, width] of the middle, or [top, left, height, width] of any part [px]; None keeps all.
        binning: side of the squares of pixels that are averaged [px].
        size: side or [height, width] of the result [px]: the mean over areas where that is fewer pixels, bilinear
            where it is more. It must keep the aspect ratio. None keeps the size.
        name: the setting that holds these values, for messages.
    Raises:
        InvalidValue: if a number is out of range.
    """

    crop: Sequence[int] | None = None
    binning: int = 1
    size: int | Sequence[int] | None = None
    name: str = "data.preparation.geometry"

    def __post_init__(self) -> None:
        named = [*(self.crop or ()), *([] if self.size is None else sides_of(self.size))]
        if not all(isinstance(side, int) for side in named):
            raise InvalidValue(f"{self.name}: crop and size are whole numbers of pixels, got {self.crop}, {self.size}.")
        if self.crop is not None and (len(self.crop) not in (2, 4) or min(self.crop[-2:]) < 1 or min(self.crop) < 0):
            raise InvalidValue(
                f"{self.name}.crop must be [height, width] of the middle or [top, left, height, width], got "
                f"{list(self.crop)}."
            )
        if self.binning < 1:
            raise InvalidValue(f"{self.name}.binning must be at least 1, got {self.binning}.")
        sides = sides_of(self.size or 1)
        if self.size == 0 or len(sides) > 2 or min(sides) < 1 or max(sides) > LARGEST:
            raise InvalidValue(
                f"{self.name}.size must be a side or [height, width] in px, up to {LARGEST}, got {self.size}."
            )

    def result(self, size: Size) -> Size:
        """Size of the result for frames of ``size``.

        Raises:
            WrongSize: if the frames are smaller than the crop, are no multiple of the binning, or would be squeezed.
        """
        return self.steps(size)[-1][1]

    def steps(self, size: Size) -> list[tuple[str, Size]]:
        """What is done, and the size after it; the first entry is the frame itself."""
        done = [("frame", size)]
        if self.crop is not None:
            done.append(("crop", self._cropped(size)))
        if self.binning > 1:
            done.append((f"binning {self.binning}", self._binned(done[-1][1])))
        if self.size is not None:
            done.append(("resize", self._resized(done[-1][1])))
        return done

    def __call__(self, images: Shaped[Tensor, "*b h w"]) -> Shaped[Tensor, "*b p q"]:
        """Bring images to the resulting grid; those that are there already stay as they are."""
        height, width = images.shape[-2:]
        steps = self.steps((height, width))
        if self.crop is not None:
            top, left, rows, columns = self._box((height, width))
            images = images[..., top : top + rows, left : left + columns]
        return images if steps[-1][1] == tuple(images.shape[-2:]) else resized(images.float(), steps[-1][1])

    def _box(self, size: Size) -> tuple[int, int, int, int]:
        assert self.crop is not None
        if len(self.crop) == 4:
            top, left, rows, columns = self.crop
        else:
            rows, columns = self.crop
            top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
        return top, left, rows, columns

    def _cropped(self, size: Size) -> Size:
        top, left, rows, columns = self._box(size)
        if min(top, left) < 0 or top + rows > size[0] or left + columns > size[1]:
            raise WrongSize(
                f"{self.name}.crop = {list(self.crop or [])} does not lie inside images of {size[0]}x{size[1]} px.",
                "Choose a smaller one.",
            )
        return rows, columns

    def _binned(self, size: Size) -> Size:
        if size[0] % self.binning or size[1] % self.binning:
            fits = [side // self.binning * self.binning for side in size]
            remedy = f"Crop first: {self.name}.crop={fits}." if min(fits) else "Choose a smaller one."
            raise WrongSize(f"{self.name}.binning = {self.binning} does not divide {size[0]}x{size[1]} px.", remedy)
        return size[0] // self.binning, size[1] // self.binning

    def _resized(self, size: Size) -> Size:
        rows, columns = (self.size, self.size) if isinstance(self.size, int) else self.size or size
        new = (rows, columns)
        if not same_aspect(size, new):
            side = min(size)
            raise WrongSize(
                f"{self.name}.size = {list(new)} would squeeze {size[0]}x{size[1]} px.",
                "Choose a size of their ratio of height to width, or crop first: "
                f"{self.name}.crop=[{side},{side}] keeps the middle square.",
            )
        return new


def sides_of(size: int | Sequence[int]) -> list[int]:
    """A side, or height and width, as a list."""
    return [size] if isinstance(size, int) else list(size)


def same_aspect(size: Size, other: Size) -> bool:
    """Whether two sizes have one ratio of height to width, to half a pixel of the smaller one."""
    low, high = sorted((size, other))
    return abs(low[0] * high[1] / high[0] - low[1]) <= 0.5
