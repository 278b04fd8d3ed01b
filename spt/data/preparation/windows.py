"""Several channels, each from one window of the frame: what spectra and autocorrelations have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.files.frames import Frames
from spt.data.preparation.base import PIECE, Preparation, refuse_frame
from spt.data.preparation.correction import FRAMES, Correction
from spt.data.preparation.geometry import Geometry, Size, sides_of
from spt.data.preparation.target import TargetPreparation
from spt.data.readers import evenly
from spt.errors import InvalidValue
from spt.optics.precision import full_precision
from spt.optics.resampling import resized

MULTIPLE, LARGEST = 32, 64
"""By default the input is the object's size, brought up to a multiple that every network takes, and at most 64 px."""

SHARE = 0.98
"""What lies inside the reach that is found, as a share of all."""

DARKEST = 1e-3
"""Least value of a block before its log, as a share of the frame's mean."""


class Windows(Preparation):
    """Sums over the power spectra of windows of the frame, and the log of a small image of the frame.

    A window w has the weighted mean m, with the weights H of a Hann window. Its power spectrum is
    ``|FFT(H (w - m) / m)|^2 / sum(H^2)``, so that white noise of contrast 1 has the spectrum 1. A subclass says with
    which kernel the spectrum is summed up for each pixel of a channel. From every channel the mean over the training
    frames is subtracted, pixel by pixel, and it is divided by its standard deviation, one a channel.

    Args:
        channels: of the result, ``windows`` squared, and one more with ``blocks``.
        windows: so many windows down and as many across, evenly spread over the frame. Several windows weight the
            object differently, and so tell it from its copy turned by 180 degrees.
        window: side of a window as a share of the shorter side of the frame.
        size: side or [height, width] of the result [px]; None for the object's size, brought up to a multiple of 32,
            at most 64.
        reach: what lies at the edge of the result's longer side; None finds it in the training frames.
        blocks: the small image has so many blocks down and across; None for none.
        correction: background, hot pixels, illumination; None for none.
        geometry: crop, binning, size of the frame; None for none.
        target: what happens to the objects; None for nothing.
    Raises:
        InvalidValue: if a value is out of range.
    """

    costly = True
    unit: str
    """Of the reach."""
    most: float
    """Greatest reach that can be set."""
    down: Tensor | None
    across: Tensor | None
    edge: Tensor | None
    level: Tensor | None
    spread: Tensor | None

    def __init__(
        self,
        channels: int = 10,
        windows: int = 3,
        window: float = 0.5,
        size: int | Sequence[int] | None = None,
        reach: float | None = None,
        blocks: int | None = 16,
        correction: Correction | None = None,
        geometry: Geometry | None = None,
        target: TargetPreparation | None = None,
    ) -> None:
        super().__init__(correction, geometry, target)
        name, known = "data.preparation", windows**2 + (blocks is not None)
        if windows < 1:
            raise InvalidValue(f"{name}.windows must be at least 1, got {windows}.")
        if not 0 < window <= 1:
            raise InvalidValue(f"{name}.window must lie in (0, 1], got {window}.")
        if reach is not None and not 0 < reach <= self.most:
            raise InvalidValue(f"{name}.reach must lie in (0, {self.most}] {self.unit} or be null, got {reach}.")
        if blocks is not None and blocks < 1:
            raise InvalidValue(f"{name}.blocks must be at least 1 or null, got {blocks}.")
        if channels != known:
            raise InvalidValue(f"{name}.channels follows from windows and blocks: {known}, got {channels}.")
        sides = sides_of(size) if size is not None else []
        if any(side < 2 or side % 2 for side in sides) or len(sides) > 2:
            raise InvalidValue(f"{name}.size must be an even side, an even [height, width] or null, got {size}.")
        self.channels, self.windows, self.window, self.blocks = channels, windows, window, blocks
        self.size, self.reach = (sides[0], sides[-1]) if sides else None, reach
        for buffer in ("down", "across", "edge", "level", "spread"):
            self.register_buffer(buffer, None)

    @abstractmethod
    def find_reach(self, power: Float[Tensor, "s f"]) -> float:
        """The reach that the mean power spectrum of the training frames suggests (half plane, zero frequency first)."""

    @abstractmethod
    def kernels(self, pixels: int, step: float, side: int, vertical: bool) -> Float[Tensor, "2 p s"]:
        """What each pixel takes of the power at each frequency, for the axes to be multiplied and two terms added.

        Args:
            pixels: of the result along this axis; zero lies at ``pixels // 2``.
            step: from one pixel to the next, in the unit of the reach.
            side: of a window [px].
            vertical: whether this is the axis y.
        Returns:
            For the two terms: the first is that of the frequencies of the half plane, the second that of the other.
        """

    @abstractmethod
    def channel(self, sums: Float[Tensor, "b k p q"]) -> Float[Tensor, "b k p q"]:
        """The channels from the sums over the spectra."""

    def own_settings(self) -> dict[str, Any]:
        """Windows, size, reach and blocks, as they were set."""
        size = None if self.size is None else list(self.size)
        return {"size": size, **{name: getattr(self, name) for name in ("windows", "window", "reach", "blocks")}}

    def input_size(self, frame: Size, image: Size) -> Size:
        """Size of a channel: as set, or from the objects' size.

        Raises:
            InvalidValue: if the windows are too small for it.
        """
        size, side = self.size or derived_size(image), self.side(frame)
        if side < max(size):
            raise InvalidValue(
                f"data.preparation: windows of {side} px give no channels of {size[0]}x{size[1]} px. Use larger "
                "frames, a larger data.preparation.window, or a smaller data.preparation.size."
            )
        return size

    def side(self, frame: Size) -> int:
        """Side of a window [px]."""
        return int(self.window * min(self.geometry.result(frame)))

    def fit(self, frames: Tensor | Frames, image: Size) -> None:
        """Find the reach, and mean and spread of each channel, in training frames.

        Raises:
            InvalidValue: if a training frame has no finite spectrum, or all training frames are equal.
        """
        super().fit(frames, image)
        numbers = torch.tensor(evenly(len(frames), FRAMES)).split(PIECE)
        power = torch.zeros((), dtype=torch.float64)
        for part in numbers:
            powers = self._powers(self.light(frames[part][:, None]))
            if bad := part[~powers.isfinite().flatten(1).all(1)].tolist():
                refuse_frame(frames, bad[0])
            power = power + powers.double().mean(1).sum(0)
        frame = (frames.shape[1], frames.shape[2])
        self.set_grid(frame, self.input_size(frame, image), self.reach or self.find_reach(power))
        inputs = torch.cat([self.channels_of(frames[part][:, None]) for part in numbers])
        level = inputs.mean(0)
        spread = (inputs - level).square().mean((0, 2, 3), keepdim=True)[0].sqrt()
        if not (spread > 1e-5).all():  # rounding leaves less
            raise InvalidValue("the training frames are all equal. Check the speckles.")
        self.level, self.spread = level, spread

    def set_grid(self, frame: Size, size: Size, reach: float) -> None:
        """Set where the pixels of a channel lie.

        Args:
            frame: size of the recorded frames [px].
            size: height and width of a channel [px].
            reach: at the edge of its longer side.
        """
        side, step = self.side(frame), 2 * reach / max(size)
        down, across = (self.kernels(pixels, step, side, k == 0) for k, pixels in enumerate(size))
        half = across[..., : side // 2 + 1].clone()
        half[..., 0] /= 2  # the column of zero frequency lies in both halves of the plane
        if side % 2 == 0:
            half[..., -1] /= 2  # and so does the last one of an even side
        self.down, self.across, self.edge = down.float(), half.mT.float(), torch.tensor(reach)

    def steps(self, frame: Size, image: Size) -> list[str]:
        """Windows, reach and blocks in numbers, where they are known."""
        size = self.input_size(frame, image)
        reach = "" if self.edge is None else f" up to {float(self.edge):.3g} {self.unit}"
        words = [
            f"{type(self).__name__.lower()} of {self.windows}x{self.windows} windows of {self.side(frame)} px{reach}, "
            f"{size[0]}x{size[1]}"
        ]
        small = [] if self.blocks is None else [f"image of {self.blocks}x{self.blocks} blocks"]
        return [*words, *small, "standardize each channel"]

    def forward(self, speckle: Shaped[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p q"]:
        """Prepare frames; :meth:`fit` comes first."""
        if self.level is None:
            raise RuntimeError("fit() must come first: reach, mean and spread of the training frames are not known")
        return self.standardized(self.channels_of(speckle))

    def standardized(self, channels: Float[Tensor, "*b c p q"]) -> Float[Tensor, "*b c p q"]:
        """The channels less their mean over the training frames, divided by their spread."""
        assert self.level is not None
        assert self.spread is not None
        return (channels - self.level) / self.spread

    def channels_of(self, speckle: Shaped[Tensor, "b 1 h w"]) -> Float[Tensor, "b c p q"]:
        """The channels before mean and spread of the training frames; the grid must be set."""
        windows, small = self.windows_and_small(speckle)
        size = (windows.shape[-2], windows.shape[-1])
        return windows if small is None else torch.cat([windows, resized(small, size)], 1)

    def windows_and_small(
        self, speckle: Shaped[Tensor, "b 1 h w"]
    ) -> tuple[Float[Tensor, "b k p q"], Float[Tensor, "b 1 m m"] | None]:
        """The channels of the windows, and the log of the small image as a share of its mean; None without blocks."""
        assert self.down is not None
        assert self.across is not None
        light = self.light(speckle)
        powers = self._powers(light)
        with full_precision():
            sums = self.down[0] @ powers @ self.across[0] + self.down[1] @ powers @ self.across[1]
        if self.blocks is None:
            return self.channel(sums), None
        small = resized(light, self.blocks) / light.mean((-2, -1), keepdim=True)
        return self.channel(sums), small.clamp(min=DARKEST).log()

    def _powers(self, light: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b k s f"]:
        """Power spectra of the windows: half plane, zero frequency first."""
        side = int(self.window * min(light.shape[-2:]))
        hann = torch.hann_window(side, periodic=False, dtype=light.dtype, device=light.device)
        weights = hann[:, None] * hann
        tops, lefts = (_places(length, side, self.windows) for length in light.shape[-2:])
        windows = torch.cat([light[..., y : y + side, x : x + side] for y in tops for x in lefts], 1)
        mean = (windows * weights).sum((-2, -1), keepdim=True) / weights.sum()
        spectra = torch.fft.rfft2((windows / mean - 1) * weights)
        return (spectra.real.square() + spectra.imag.square()) / weights.square().sum()


def derived_size(image: Size) -> Size:
    """Size of a channel for objects of this size: a multiple of 32 with their aspect, at most 64 px [px]."""
    longest = max(image)
    long = min(-(-longest // MULTIPLE) * MULTIPLE, LARGEST)
    height, width = (max(MULTIPLE, round(side / longest * long / MULTIPLE) * MULTIPLE) for side in image)
    return height, width


def inside(share: float, values: Float[Tensor, "..."], radius: Float[Tensor, "..."]) -> float:
    """The radius inside which this share of the values lies.

    Args:
        share: in (0, 1).
        values: none negative.
        radius: of each value.
    """
    order = radius.flatten().argsort()
    total = values.flatten()[order].cumsum(0)
    return float(radius.flatten()[order][(total >= share * total[-1]).nonzero()[0, 0]])


def _places(length: int, side: int, count: int) -> list[int]:
    """First pixels of windows, evenly spread; of one window the middle."""
    if count == 1:
        return [(length - side) // 2]
    return [round(k * (length - side) / (count - 1)) for k in range(count)]
