"""What a camera adds to a frame, taken out again: background, uneven illumination, hot pixels."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spt.data.files.frames import Frames
from spt.data.readers import evenly
from spt.errors import InvalidValue
from spt.optics import statistics

FRAMES = 512
"""Training frames, spread evenly, that a mean is taken of."""

LOWEST = 0.02
"""A flat field below this share of its mean is too dark to divide by."""


class Correction(nn.Module):
    """Subtract a background, replace hot pixels, divide by the illumination.

    What is fitted or read from files is a buffer, so that it is saved with a run and goes with it to any device.

    Args:
        background: what is subtracted: a grey level, a file of dark frames (their mean; ``file:key`` in an array
            file), or ``mean`` for the mean training frame. What falls below 0 becomes 0. None subtracts nothing.
        hot_pixels: a pixel that is brighter than so many times its brightest neighbour is replaced by the median of
            its 3x3 px. None replaces none. Grains of one pixel would be taken for hot pixels.
        flat: what frames are divided by: a file of flat-field frames (their mean, less the background), or
            ``envelope`` for the smooth mean illumination of the training frames. None divides by nothing.
    Raises:
        InvalidValue: if a number is out of range.
    """

    background: Tensor | None
    flat: Tensor | None

    def __init__(
        self, background: float | str | None = None, hot_pixels: float | None = None, flat: str | None = None
    ) -> None:
        super().__init__()
        if isinstance(background, int | float) and not 0 <= background < float("inf"):
            raise InvalidValue(f"data.preparation.correction.background must be 0 or more, got {background}.")
        if hot_pixels is not None and not hot_pixels >= 1:
            raise InvalidValue(f"data.preparation.correction.hot_pixels must be at least 1, got {hot_pixels}.")
        self.settings = {"background": background, "hot_pixels": hot_pixels, "flat": flat}
        level = None if background is None or isinstance(background, str) else torch.tensor(float(background))
        self.register_buffer("background", level)
        self.register_buffer("flat", None)
        self.hot_pixels = hot_pixels

    @property
    def needs_fit(self) -> bool:
        """Whether training frames or files decide a part of it."""
        return isinstance(self.settings["background"], str) or self.settings["flat"] is not None

    def fit(self, mean: Float[Tensor, "h w"], read: Callable[[str], Frames]) -> None:
        """Find background and illumination.

        Args:
            mean: the mean training frame.
            read: opens a file by its name.
        Raises:
            InvalidValue: if a file has another size than the frames, or the flat field is dark somewhere.
        """
        background, flat = self.settings["background"], self.settings["flat"]
        if isinstance(background, str):
            self.background = mean if background == "mean" else _mean_of_file(background, read, mean)
        if flat is not None:
            light = mean if flat == "envelope" else _mean_of_file(str(flat), read, mean)
            if self.background is not None and background != "mean":
                light = (light - self.background).clamp(min=0)
            if flat == "envelope":
                light = statistics.illumination(light)
            light = light / light.mean().clamp(min=1e-30)
            if not (light.isfinite().all() and light.min() > LOWEST):
                raise InvalidValue(
                    f"data.preparation.correction.flat={flat}: the field is below {LOWEST:.0%} of its mean somewhere, "
                    "and frames cannot be divided by it. Record frames and flat field of the lit part alone, or set it "
                    "to null."
                )
            self.flat = light

    def forward(self, frames: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
        """Correct frames."""
        if self.background is not None:
            frames = (frames - self.background).clamp(min=0)
        if self.hot_pixels is not None:
            frames = without_hot_pixels(frames, self.hot_pixels)
        return frames if self.flat is None else frames / self.flat


def without_hot_pixels(frames: Float[Tensor, "*b h w"], factor: float) -> Float[Tensor, "*b h w"]:
    """Replace pixels that are ``factor`` times brighter than their brightest neighbour by the median of 3x3 px."""
    flat = frames.reshape(-1, 1, *frames.shape[-2:])
    padded = F.pad(flat, (1, 1, 1, 1), mode="replicate")
    around = F.unfold(padded, 3).unflatten(-1, frames.shape[-2:])
    neighbours = torch.cat([around[:, :4], around[:, 5:]], dim=1).amax(1, keepdim=True)
    median = around.median(1, keepdim=True).values
    return torch.where(flat > factor * neighbours, median, flat).reshape(frames.shape)


def _mean_of_file(name: str, read: Callable[[str], Frames], mean: Tensor) -> Float[Tensor, "h w"]:
    frames = read(str(Path(name).expanduser()))
    if tuple(frames.shape[1:]) != tuple(mean.shape):
        raise InvalidValue(
            f"{name}: frames of {frames.shape[1]}x{frames.shape[2]} px, but the speckles have "
            f"{mean.shape[0]}x{mean.shape[1]} px. Record it with the same camera window."
        )
    found = mean_frame(frames)
    if not (found.isfinite().all() and (found >= 0).all()):
        raise InvalidValue(f"{name} holds NaN, infinity or negative intensities. Record it again, or leave it out.")
    return found


def mean_frame(frames: Tensor | Frames, most: int = FRAMES) -> Float[Tensor, "h w"]:
    """Mean of at most ``most`` frames, evenly spread, read one after the other."""
    numbers = evenly(len(frames), most)
    total = torch.zeros(frames.shape[1:], dtype=torch.float64)
    for number in numbers:
        total += frames[number].double()
    return (total / len(numbers)).float()
