"""What happens to an object before the network's image is compared with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.preparation.geometry import Geometry, Size
from spt.errors import InvalidValue

FLIPS = {"horizontal": (-1,), "vertical": (-2,), "both": (-2, -1)}
"""Axes that are turned round."""


@dataclass(frozen=True)
class TargetPreparation:
    """Turn an object as the camera sees it, bring it to its size, then to its grey levels.

    Args:
        rotate: counter-clockwise [degrees]: 0, 90, 180 or 270.
        flip: after that: ``horizontal`` (left and right change places), ``vertical``, ``both`` or None.
        crop: [height, width] of the middle, or [top, left, height, width] [px]; None keeps all.
        size: side or [height, width] [px], of the same aspect ratio; None keeps the size.
        threshold: values above become 1, the others 0; None keeps them grey.
        levels: number of grey levels, from 0 to 1; None keeps them all.
    Raises:
        InvalidValue: if a value is out of range.
    """

    rotate: int = 0
    flip: Literal["horizontal", "vertical", "both"] | None = None
    crop: Sequence[int] | None = None
    size: int | Sequence[int] | None = None
    threshold: float | None = None
    levels: int | None = None

    def __post_init__(self) -> None:
        name = "data.preparation.target"
        if self.rotate not in (0, 90, 180, 270):
            raise InvalidValue(f"{name}.rotate must be 0, 90, 180 or 270, got {self.rotate}.")
        if self.flip is not None and self.flip not in FLIPS:
            raise InvalidValue(f"{name}.flip must be one of {', '.join(FLIPS)} or null, got {self.flip!r}.")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise InvalidValue(f"{name}.threshold must lie in [0, 1) or be null, got {self.threshold}.")
        if self.levels is not None and self.levels < 2:
            raise InvalidValue(f"{name}.levels must be at least 2 or null, got {self.levels}.")
        _ = self.geometry

    @property
    def geometry(self) -> Geometry:
        """Crop and size."""
        return Geometry(self.crop, 1, self.size, "data.preparation.target")

    @property
    def changes(self) -> bool:
        """Whether anything is done."""
        return self != TargetPreparation()

    def result(self, size: Size) -> Size:
        """Size of the prepared objects.

        Raises:
            InvalidValue: see :class:`Geometry`.
        """
        return self.geometry.result(size[::-1] if self.rotate % 180 else size)

    def __call__(self, images: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        """Prepare objects in [0, 1]; they stay there."""
        images = torch.rot90(images, self.rotate // 90, (-2, -1))
        if self.flip:
            images = images.flip(FLIPS[self.flip])
        images = self.geometry(images)
        if self.threshold is not None:
            images = (images > self.threshold).to(images.dtype)
        if self.levels is not None:
            images = (images * (self.levels - 1)).round() / (self.levels - 1)
        return images


def images(target: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n 1 h w"]:
    """Objects in [0, 1] with a channel axis, from uint8 in 0..255 or floats in [0, 1]."""
    return (target.float() / 255 if target.dtype == torch.uint8 else target.float())[:, None]
