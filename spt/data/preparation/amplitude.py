"""One channel: the frame's amplitudes or intensities, brought to one scale."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.files.frames import Frames
from spt.data.preparation.base import Preparation, refuse_frame
from spt.data.preparation.correction import FRAMES, Correction
from spt.data.preparation.geometry import Geometry, Size
from spt.data.preparation.target import TargetPreparation
from spt.data.readers import evenly
from spt.errors import InvalidValue

Transform = Literal["sqrt", "log", "none"]
Scale = Literal["standardize", "maximum", "set", "none"]


class Amplitude(Preparation):
    """Correct a frame, cut it, compress its intensities, bring it to one scale, clip it: in this order.

    Args:
        transform: ``sqrt`` (amplitude; learns best), ``log`` (of 1 + intensity) or ``none``.
        scale: each frame on its own: ``standardize`` (mean 0, standard deviation 1) or ``maximum`` (divide by the
            frame's maximum, as the deep speckle correlation network was trained). ``set``: mean 0 and standard
            deviation 1 over the training frames, so that bright and dim frames stay different. Or ``none``.
        clip: [low, high], what lies outside is set to these values, after the scale; None keeps all.
        correction: background, hot pixels, illumination; None for none.
        geometry: crop, binning, size; None for none.
        target: what happens to the objects; None for nothing.
    Raises:
        InvalidValue: if a choice is unknown.
    """

    level: Tensor | None
    spread: Tensor | None

    def __init__(
        self,
        transform: Transform = "sqrt",
        scale: Scale = "standardize",
        clip: Sequence[float] | None = None,
        correction: Correction | None = None,
        geometry: Geometry | None = None,
        target: TargetPreparation | None = None,
    ) -> None:
        super().__init__(correction, geometry, target)
        if transform not in get_args(Transform):
            raise InvalidValue(f"data.preparation.transform must be one of {get_args(Transform)}, got {transform!r}.")
        if scale not in get_args(Scale):
            raise InvalidValue(f"data.preparation.scale must be one of {get_args(Scale)}, got {scale!r}.")
        if clip is not None and not (len(clip) == 2 and clip[0] < clip[1]):
            raise InvalidValue(f"data.preparation.clip must be [low, high] with low < high, got {list(clip)}.")
        self.transform, self.scale, self.clip = transform, scale, None if clip is None else tuple(clip)
        self.negative = transform == "none"
        self.register_buffer("level", None)
        self.register_buffer("spread", None)

    def own_settings(self) -> dict[str, Any]:
        """Transform, scale and clip."""
        clip = None if self.clip is None else list(self.clip)
        return {"transform": self.transform, "scale": self.scale, "clip": clip}

    def input_size(self, frame: Size, image: Size) -> Size:
        """That of the cut frame."""
        return self.geometry.result(frame)

    def fit(self, frames: Tensor | Frames, image: Size) -> None:
        """Find background, illumination and the scale of the set.

        Raises:
            InvalidValue: if a frame cannot be used, or the training frames are constant and ``scale`` is ``set``.
        """
        super().fit(frames, image)
        numbers = evenly(len(frames), FRAMES)
        if self.scale == "set":
            each = [_moments(self._compressed(frames[k : k + 1])) for k in numbers]
            if bad := [k for k, moments in zip(numbers, each, strict=True) if not moments.isfinite().all()]:
                refuse_frame(frames, bad[0])
            moments = torch.stack(each).mean(0)
            self.level = moments[0].float()
            self.spread = (moments[1] - moments[0] ** 2).sqrt().float()
            if not self.spread > 0:
                raise InvalidValue("the training frames are constant. Check the speckles.")

    def steps(self, frame: Size, image: Size) -> list[str]:
        """Transform, scale and clip."""
        return [self.transform, self.scale, *([] if self.clip is None else [f"clip {list(self.clip)}"])]

    def forward(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        """Prepare one frame or many; a constant frame becomes zeros, a dark one stays dark."""
        x = self._compressed(speckle)
        if self.scale == "set":
            if self.level is None or self.spread is None:
                raise RuntimeError("fit() must come first: the scale of the set is not known")
            x = (x - self.level) / self.spread
        if self.scale == "maximum":
            peak = x.amax((-2, -1), keepdim=True)
            x = (x / peak).masked_fill(peak == 0, 0)
        if self.scale == "standardize":
            mean = x.mean((-2, -1), keepdim=True)
            x = x - mean
            # The norm of what has no mean: several times faster than Tensor.std over two axes.
            std = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) / math.sqrt(x.shape[-2] * x.shape[-1] - 1)
            # Relative to the level: what rounding leaves of a bright constant frame is not contrast, and a dim frame
            # is not constant. NaN compares false and so stays NaN, for collate to refuse.
            x = (x / std).masked_fill(std <= 1e-6 * mean.abs(), 0)
        return x if self.clip is None else x.clamp(*self.clip)

    def _compressed(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        x = self.light(speckle)
        return x.sqrt() if self.transform == "sqrt" else x.log1p() if self.transform == "log" else x


def _moments(x: Float[Tensor, "*b h w"]) -> Float[Tensor, " 2"]:
    x = x.double()
    return torch.stack([x.mean(), x.square().mean()])
