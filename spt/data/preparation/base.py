"""What every preparation does: correct and cut a frame, turn it into the network's input; and prepare the objects."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from spt.data.bad_pixels import NEGATIVE, REMEDY, pixel_problem, place
from spt.data.files.frames import Frames
from spt.data.preparation.correction import FRAMES, Correction, mean_frame
from spt.data.preparation.geometry import Geometry, Size
from spt.data.preparation.target import TargetPreparation
from spt.data.readers import evenly
from spt.errors import InvalidValue

PIECE = 32
"""Frames that are prepared at once where many are."""


class Preparation(nn.Module, ABC):
    """From a recorded frame to the network's input, and from a stored object to what its image is compared with.

    A new preparation defines ``channels``, ``own_settings``, ``input_size``, ``steps`` and ``forward``, and ``fit``
    where training frames decide something. What is fitted is a buffer, so that it is saved with a run and goes with it
    to any device.

    Args:
        correction: background, hot pixels, illumination; None for none.
        geometry: crop, binning, size of the frame; None for none.
        target: what happens to the objects; None for nothing.
    """

    channels = 1
    """Channels of the network's input."""

    negative = False
    """Whether negative intensities are allowed."""

    costly = False
    """Whether preparing a frame takes so long that the network's inputs of training frames are kept."""

    def __init__(
        self,
        correction: Correction | None = None,
        geometry: Geometry | None = None,
        target: TargetPreparation | None = None,
    ) -> None:
        super().__init__()
        self.correction = correction or Correction()
        self.geometry, self.target = geometry or Geometry(), target or TargetPreparation()

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """The values that this kind of preparation has beside correction, geometry and target."""

    @abstractmethod
    def input_size(self, frame: Size, image: Size) -> Size:
        """Height and width of the network's input [px].

        Args:
            frame: size of the recorded frames.
            image: size of the prepared objects.
        Raises:
            InvalidValue: if the frames do not fit the settings.
        """

    @abstractmethod
    def steps(self, frame: Size, image: Size) -> list[str]:
        """What is done after correction and geometry, in words, for the log."""

    @abstractmethod
    def forward(self, speckle: Shaped[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p q"]:
        """Prepare frames."""

    def fit(self, frames: Tensor | Frames, image: Size) -> None:
        """Find what training frames or files decide: background and illumination.

        Args:
            frames: training frames (n, h, w).
            image: size of the prepared objects.
        Raises:
            UserError: if a file or a frame cannot be used, or the background leaves no light.
        """
        numbers = evenly(len(frames), FRAMES)
        if self.correction.needs_fit:
            mean = mean_frame(frames)
            if not mean.isfinite().all():
                refuse_frame(frames, next(k for k in numbers if not frames[k].isfinite().all()))
            self.correction.fit(mean, _open)
        if self.correction.background is not None and not any(self.light(frames[k]).any() for k in numbers):
            brightest = max(float(frames[k].float().max()) for k in numbers)
            raise InvalidValue(
                f"data.preparation.correction.background={self.correction.settings['background']} leaves no light in "
                f"the training frames: their brightest pixel is {brightest:g}. Set a lower background, or null."
            )

    def settings(self) -> dict[str, Any]:
        """Every value that was set, as plain numbers and text."""
        return {
            **self.own_settings(),
            "correction": self.correction.settings,
            "geometry": _plain(self.geometry, ("crop", "binning", "size")),
            "target": _plain(self.target, ("rotate", "flip", "crop", "size", "threshold", "levels")),
        }

    def load_fitted(self, state: Mapping[str, Tensor]) -> None:
        """Take what training found, as ``state_dict`` gave it; the training frames are not needed."""
        for name, value in state.items():
            owner, _, buffer = name.rpartition(".")
            setattr(self.get_submodule(owner), buffer, value)

    def describe(self, frame: Size, image: Size) -> str:
        """The chain with its sizes, for the log."""
        first, *others = [f"{name} {size[0]}x{size[1]}" for name, size in self.geometry.steps(frame)]
        corrected = [name for name, value in self.correction.settings.items() if value is not None]
        return " -> ".join([first, *corrected, *others, *self.steps(frame, image)])

    def light(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b p q"]:
        """The corrected intensities, cut and binned."""
        return self.geometry(self.correction(speckle.float()))


def refuse_frame(frames: Tensor | Frames, number: int) -> None:
    """Name a training frame that is no camera's, or of which the preparation makes NaN or infinity.

    Raises:
        InvalidValue: always.
    """
    frame = frames[number].numpy()
    problem = pixel_problem(frame) or "the preparation makes NaN or infinite values of it"
    first = f"{NEGATIVE} " if (frame < 0).any() else ""
    raise InvalidValue(f"the speckle of {place('train', number, frames)}: {problem}. {first}{REMEDY}")


def _plain(part: object, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(part, name) for name in names}
    return {name: list(v) if isinstance(v, list | tuple) else v for name, v in values.items()}


def _open(name: str) -> Frames:
    from spt.data.files import open_frames, split_key

    return open_frames(*split_key(name))
