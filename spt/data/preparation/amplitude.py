"""From a recorded frame to the network's input: one image of amplitudes or intensities."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from spt.data.bad_pixels import NEGATIVE, REMEDY, pixel_problem, place
from spt.data.files.frames import Frames
from spt.data.preparation.correction import FRAMES, Correction, mean_frame
from spt.data.preparation.geometry import Geometry, Size
from spt.data.preparation.target import TargetPreparation
from spt.data.readers import evenly
from spt.errors import InvalidValue

log = logging.getLogger(__name__)

Transform = Literal["sqrt", "log", "none"]
Scale = Literal["standardize", "maximum", "set", "none"]


class Preparation(nn.Module):
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
        super().__init__()
        if transform not in get_args(Transform):
            raise InvalidValue(f"data.preparation.transform must be one of {get_args(Transform)}, got {transform!r}.")
        if scale not in get_args(Scale):
            raise InvalidValue(f"data.preparation.scale must be one of {get_args(Scale)}, got {scale!r}.")
        if clip is not None and not (len(clip) == 2 and clip[0] < clip[1]):
            raise InvalidValue(f"data.preparation.clip must be [low, high] with low < high, got {list(clip)}.")
        self.transform, self.scale, self.clip = transform, scale, None if clip is None else tuple(clip)
        self.correction = correction or Correction()
        self.geometry, self.target = geometry or Geometry(), target or TargetPreparation()
        self.register_buffer("level", None)
        self.register_buffer("spread", None)

    def settings(self) -> dict[str, Any]:
        """Every value that was set, as plain numbers and text."""
        return {
            "transform": self.transform,
            "scale": self.scale,
            "clip": None if self.clip is None else list(self.clip),
            "correction": self.correction.settings,
            "geometry": _plain(self.geometry, ("crop", "binning", "size")),
            "target": _plain(self.target, ("rotate", "flip", "crop", "size", "threshold", "levels")),
        }

    def input_size(self, frame: Size) -> Size:
        """Height and width of the network's input for frames of this size [px].

        Raises:
            InvalidValue: if the frames do not fit the geometry.
        """
        return self.geometry.result(frame)

    def fit(self, frames: Tensor | Frames) -> None:
        """Find what training frames or files decide: background, illumination, the scale of the set.

        Raises:
            UserError: if a file or a frame cannot be used, or the background leaves no light.
        """
        numbers = evenly(len(frames), FRAMES)
        if self.correction.needs_fit:
            mean = mean_frame(frames)
            if not mean.isfinite().all():
                _refuse(frames, next(k for k in numbers if not frames[k].isfinite().all()))
            self.correction.fit(mean, _open)
        if self.correction.background is not None and not any(self.light(frames[k]).any() for k in numbers):
            brightest = max(float(frames[k].float().max()) for k in numbers)
            raise InvalidValue(
                f"data.preparation.correction.background={self.correction.settings['background']} leaves no light in "
                f"the training frames: their brightest pixel is {brightest:g}. Set a lower background, or null."
            )
        if self.scale == "set":
            each = [_moments(self._compressed(frames[k : k + 1])) for k in numbers]
            if bad := [k for k, moments in zip(numbers, each, strict=True) if not moments.isfinite().all()]:
                _refuse(frames, bad[0])
            moments = torch.stack(each).mean(0)
            self.level = moments[0].float()
            self.spread = (moments[1] - moments[0] ** 2).sqrt().float()
            if not self.spread > 0:
                raise InvalidValue("the training frames are constant. Check the speckles.")

    def load_fitted(self, state: Mapping[str, Tensor]) -> None:
        """Take what training found, as ``state_dict`` gave it; the training frames are not needed."""
        for name, value in state.items():
            owner, _, buffer = name.rpartition(".")
            setattr(self.get_submodule(owner), buffer, value)

    def describe(self, frame: Size) -> str:
        """The chain with its sizes, for the log."""
        steps = [f"{name} {size[0]}x{size[1]}" for name, size in self.geometry.steps(frame)]
        corrected = [name for name, value in self.correction.settings.items() if value is not None]
        clip = [] if self.clip is None else [f"clip {list(self.clip)}"]
        return " -> ".join([steps[0], *corrected, *steps[1:], self.transform, self.scale, *clip])

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

    def light(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        """The corrected intensities on the grid of the network's input."""
        return self.geometry(self.correction(speckle.float()))

    def _compressed(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        x = self.light(speckle)
        return x.sqrt() if self.transform == "sqrt" else x.log1p() if self.transform == "log" else x


def _refuse(frames: Tensor | Frames, number: int) -> None:
    """Name a training frame that is no camera's, or of which the preparation makes NaN or infinity."""
    frame = frames[number].numpy()
    problem = pixel_problem(frame) or "the preparation makes NaN or infinite values of it"
    first = f"{NEGATIVE} " if (frame < 0).any() else ""
    raise InvalidValue(f"the speckle of {place('train', number, frames)}: {problem}. {first}{REMEDY}")


def _moments(x: Float[Tensor, "*b h w"]) -> Float[Tensor, " 2"]:
    x = x.double()
    return torch.stack([x.mean(), x.square().mean()])


def _plain(part: object, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(part, name) for name in names}
    return {name: list(v) if isinstance(v, list | tuple) else v for name, v in values.items()}


def _open(name: str) -> Frames:
    from spt.data.files import open_frames, split_key

    return open_frames(*split_key(name))
