"""What is suspicious about a set of speckles, in words and with the limit that was crossed."""

from collections.abc import Iterator
from dataclasses import dataclass

from spt.evaluation.speckle.frame_statistics import DUPLICATE, SpeckleStatistics


@dataclass(frozen=True)
class Limits:
    """Where a value becomes suspicious.

    Args:
        saturated: share of pixels at the brightest level.
        dark: share of pixels at or below zero.
        lowest_contrast: of the flattened frames.
        highest_contrast: of the flattened frames.
        grain: full width at half maximum [px]; half of it is called not resolved.
        correlation: mean PCC of different frames.
        leak: excess PCC with the own object over others.
        uniformity: darkest over brightest part of the envelope.
        levels: distinct grey levels of a frame.
    """

    saturated: float = 0.01
    dark: float = 0.05
    lowest_contrast: float = 0.85
    highest_contrast: float = 1.15
    grain: float = 2.0
    correlation: float = 0.5
    leak: float = 0.1
    uniformity: float = 0.3
    levels: int = 32


def suspicions(measured: SpeckleStatistics, limits: Limits) -> Iterator[str]:
    """Say what is suspicious, most elementary first; nothing is said of a clean set."""
    yield from _frames(measured)
    yield from _exposure(measured, limits)
    yield from _speckle(measured, limits)
    yield from _objects(measured, limits)


def _frames(s: SpeckleStatistics) -> Iterator[str]:
    if s.constant:
        yield f"{s.constant} of {s.frames} frames are constant (contrast below 1e-6) and were left out."
    if s.duplicates:
        yield f"{s.duplicates} of {s.frames} frames repeat an earlier one (PCC > {DUPLICATE})."
    if s.hot:
        yield (
            f"{s.hot} hot pixel(s): more than twice their brightest neighbour plus the mean in 75 % of the frames. "
            "Replace them by the median of their neighbours."
        )


def _exposure(s: SpeckleStatistics, limits: Limits) -> Iterator[str]:
    if s.saturated > limits.saturated:
        yield (
            f"saturated: {s.saturated:.2%} of the pixels are at the brightest level (limit {limits.saturated:.2%}). "
            "Expose for a shorter time."
        )
    if s.dark > limits.dark:
        yield (
            f"too dark: {s.dark:.1%} of the pixels are zero or less (limit {limits.dark:.1%}). Expose for longer, or "
            "subtract less background."
        )
    if s.levels < limits.levels:
        yield f"coarse: a frame uses {s.levels} grey levels (limit {limits.levels}). Use more light, or bits."
    if s.uniformity < limits.uniformity:
        yield (
            f"vignette: the darkest part of the envelope has {s.uniformity:.2f} of the brightest (limit "
            f"{limits.uniformity}). Contrast and grain are given with the envelope removed."
        )


def _speckle(s: SpeckleStatistics, limits: Limits) -> Iterator[str]:
    contrast, grain = s.flat_contrast.mean().item(), min(s.grain)
    if contrast < limits.lowest_contrast:
        yield (
            f"contrast {contrast:.2f} is below {limits.lowest_contrast}: as of {s.order:.1f} patterns added up. Grains "
            "smaller than a pixel, partial coherence, movement, background or ballistic light."
        )
    if contrast > limits.highest_contrast:
        yield f"contrast {contrast:.2f} is above {limits.highest_contrast}: near a caustic, or a structured background."
    if grain < limits.grain / 2:
        yield f"grain {grain:.1f} px is below {limits.grain / 2:g} px: the speckle is not resolved. Magnify."
    elif grain < limits.grain:
        yield (
            f"grain {grain:.1f} px is below {limits.grain:g} px: under-sampled (Nyquist), and pixels average over "
            "grains."
        )


def _objects(s: SpeckleStatistics, limits: Limits) -> Iterator[str]:
    correlation = s.correlations.mean().item() if len(s.correlations) else 0.0
    if correlation > limits.correlation:
        yield (
            f"frames of different objects correlate: mean PCC {correlation:.2f} (limit {limits.correlation}). Light "
            "that no object changed acts as a reference; a linear method may do."
        )
    leak = s.leak
    if leak and abs(leak.excess) > limits.leak and abs(leak.excess) > 4 * leak.sem:
        yield (
            f"the object shows through: PCC {leak.own:.2f} with the own object against {leak.null:.2f} with others "
            f"(limit {limits.leak} more), blur {leak.blur:g} px. Ballistic or weakly scattered light."
        )
