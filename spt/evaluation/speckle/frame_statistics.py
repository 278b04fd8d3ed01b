"""What the frames of one diffuser say about themselves, measured once for the table, the figure and the checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.readers import evenly
from spt.errors import InvalidValue, MissingName
from spt.optics import statistics

BLURS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
MOST_DIFFUSERS = 8
DUPLICATE = 0.999
CONSTANT = 1e-6
"""Contrast below which a frame is called constant."""
BINS = torch.linspace(0, 8, 65)


@dataclass(frozen=True)
class Frames:
    """Frames that belong together: those of one diffuser, or of all where every frame has its own.

    Args:
        name: what the table calls them.
        speckle: intensities of any real type, (n, h, w).
        target: the objects in [0, 1], or None where they are not known.
    Raises:
        InvalidValue: if there are no frames, they are smaller than 16 px, or hold NaN or infinity.
    """

    name: str
    speckle: Tensor
    target: Float[Tensor, "n h w"] | None = None

    def __post_init__(self) -> None:
        if self.speckle.ndim != 3 or len(self.speckle) == 0 or min(self.speckle.shape[1:]) < 16:
            raise InvalidValue(
                f"{self.name}: frames (n, h, w) of at least 16x16 px are needed, got {tuple(self.speckle.shape)}."
            )
        bad = ~self.speckle.isfinite().flatten(1).all(1)
        if bad.any():
            raise InvalidValue(f"{self.name}: frame(s) {bad.nonzero().flatten().tolist()} hold NaN or infinity.")


@dataclass(frozen=True)
class Leak:
    """Correlation of speckle and object after a blur: with the own object, and with others as the null."""

    blur: float
    own: float
    null: float
    sem: float

    @property
    def excess(self) -> float:
        """What the own object has over others."""
        return self.own - self.null


@dataclass(frozen=True)
class SpeckleStatistics:
    """Numbers and curves of :class:`Frames`; ``flat`` means after division by the envelope.

    Constant frames are counted and left out of everything else.
    """

    name: str
    frames: int
    size: tuple[int, int]
    constant: int
    contrast: Float[Tensor, " n"]
    flat_contrast: Float[Tensor, " n"]
    saturated: float
    dark: float
    levels: int
    hot: int
    uniformity: float
    grain: tuple[float, float]
    ks_exponential: float
    ks_gamma: float
    samples: int
    duplicates: int
    correlations: Float[Tensor, " pairs"]
    leaks: tuple[Leak, ...]
    profiles: tuple[Float[Tensor, " h"], Float[Tensor, " w"]]
    histogram: Float[Tensor, " bins"]
    autocorrelation: Float[Tensor, "lags lags"]
    spectrum: tuple[Float[Tensor, " f"], Float[Tensor, " f"]]

    @property
    def order(self) -> float:
        """M: how many equal speckle patterns would add up to this contrast."""
        return 1 / self.flat_contrast.mean().square().item()

    @property
    def leak(self) -> Leak | None:
        """The blur after which the own object shows most."""
        return max(self.leaks, key=lambda leak: abs(leak.excess), default=None)


def one_split(splits: Mapping[str, Pairs], name: str) -> Pairs:
    """The split of that name, or ``all`` of them as one.

    Raises:
        MissingName: if there is no such split.
    """
    if name == "all":
        every = splits.values()
        return Pairs(
            name,
            torch.cat([pairs.speckle[:] for pairs in every]),
            torch.cat([pairs.target[:] for pairs in every]),
            torch.cat([pairs.diffuser for pairs in every]),
        )
    if name not in splits:
        raise MissingName(f"split={name}: choose one of {', '.join(splits)}, or all.")
    return splits[name]


def by_diffuser(pairs: Pairs, limit: int, label: str = "") -> list[Frames]:
    """Group the pairs of a split by diffuser, at most ``limit`` frames a group, evenly spread.

    More than eight diffusers are taken together: then hardly two frames share one. Objects of another size than the
    speckles are left out: the two cannot be compared pixel by pixel.
    """
    numbers = pairs.diffuser.unique().tolist()
    if len(numbers) > MOST_DIFFUSERS:
        return [_chosen(pairs, torch.arange(len(pairs)), limit, f"{label}{len(numbers)} diffusers")]
    return [_chosen(pairs, (pairs.diffuser == d).nonzero()[:, 0], limit, f"{label}diffuser {d}") for d in numbers]


def _chosen(pairs: Pairs, index: Int[Tensor, " n"], limit: int, name: str) -> Frames:
    index = index[evenly(len(index), limit)]
    if pairs.target.shape[1:] != pairs.speckle.shape[1:]:
        return Frames(name, pairs.speckle[index])
    target = pairs.target[index]
    return Frames(name, pairs.speckle[index], target.float() / 255 if target.dtype == torch.uint8 else target.float())


def flattened(speckle: Float[Tensor, "n h w"]) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "h w"]]:
    """Divide frames of mean 1 by the envelope that they share; return them and the envelope, of maximum 1."""
    frames = speckle / speckle.mean((-2, -1), keepdim=True)
    envelope = statistics.illumination(frames.mean(0))
    frames = frames / envelope
    return frames / frames.mean((-2, -1), keepdim=True), envelope / envelope.max()


def measure(frames: Frames) -> SpeckleStatistics:
    """Measure everything.

    Raises:
        InvalidValue: if every frame is constant.
    """
    speckle = frames.speckle.float()
    varies = statistics.contrast(speckle) > CONSTANT
    if not varies.any():
        raise InvalidValue(f"{frames.name}: every frame is constant. There is no speckle to measure.")
    speckle = speckle[varies]
    flat, envelope = flattened(speckle)
    flat_contrast = statistics.contrast(flat)
    correlation = statistics.autocorrelation(flat, min(32, min(flat.shape[1:]) // 2))
    grain = statistics.grain_size(correlation)
    samples = _independent(flat, grain)
    pairwise = statistics.correlation_matrix(flat, flat)
    correlations = pairwise[torch.triu(torch.ones_like(pairwise, dtype=torch.bool), 1)]
    return SpeckleStatistics(
        name=frames.name,
        frames=len(frames.speckle),
        size=(speckle.shape[1], speckle.shape[2]),
        constant=int((~varies).sum()),
        contrast=statistics.contrast(speckle),
        flat_contrast=flat_contrast,
        saturated=(speckle == speckle.max()).float().mean().item(),
        dark=(speckle <= 0).float().mean().item(),
        levels=int(torch.tensor([len(frame.unique()) for frame in speckle[:16]]).median()),
        hot=statistics.hot_pixels(speckle),
        uniformity=envelope.min().item(),
        grain=grain,
        ks_exponential=statistics.ks_exponential(samples)[0],
        ks_gamma=statistics.ks_gamma(samples, 1 / flat_contrast.mean().square().item())[0],
        samples=len(samples),
        duplicates=int((pairwise.triu(1) > DUPLICATE).any(0).sum()),
        correlations=correlations,
        leaks=_leaks(flat, frames.target[varies]) if frames.target is not None else (),
        profiles=(envelope.mean(1), envelope.mean(0)),
        histogram=torch.histc(flat, len(BINS) - 1, 0, BINS[-1].item()) / flat.numel() / BINS[1].item(),
        autocorrelation=correlation,
        spectrum=statistics.radial_spectrum(flat),
    )


def _independent(flat: Float[Tensor, "n h w"], grain: tuple[float, float], most: int = 20_000) -> Float[Tensor, " m"]:
    step_y, step_x = (math.ceil(2 * min(width, side / 4)) for width, side in zip(grain, flat.shape[1:], strict=True))
    samples = flat[:, ::step_y, ::step_x].flatten()
    return samples[:: -(-len(samples) // most)]


def _leaks(flat: Float[Tensor, "n h w"], target: Float[Tensor, "n h w"], most: int = 64) -> tuple[Leak, ...]:
    """Correlate with the own object and, as the null, with the objects of all other frames."""
    flat, target = flat[:most], target[:most]
    return tuple(_leak(flat, target, blur) for blur in BLURS) if len(flat) > 1 else ()


def _leak(flat: Float[Tensor, "n h w"], target: Float[Tensor, "n h w"], blur: float) -> Leak:
    matrix = statistics.correlation_matrix(statistics.envelope(flat, blur) if blur else flat, target)
    own, n = matrix.diagonal(), len(matrix)
    null = (matrix.sum() - own.sum()) / (n * (n - 1))
    return Leak(blur, own.mean().item(), null.item(), own.std().item() / math.sqrt(n))


def between(first: Frames, second: Frames, most: int = 64) -> Float[Tensor, "n m"]:
    """Correlation of every frame behind one diffuser with every frame behind another, envelopes removed.

    Raises:
        InvalidValue: if the frames differ in size.
    """
    if first.speckle.shape[1:] != second.speckle.shape[1:]:
        raise InvalidValue(f"{first.name} and {second.name} hold frames of different sizes and cannot be compared.")
    a, b = (flattened(frames.speckle[:most].float())[0] for frames in (first, second))
    return statistics.correlation_matrix(a, b)
