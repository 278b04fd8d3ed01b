"""What frames look like in a few numbers, so that frames of another kind than those of the training are noticed."""

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.files.frames import Frames
from spt.data.readers import evenly
from spt.optics import statistics

SAMPLE = 64
"""Frames, evenly spread over the set, that are measured."""

ROOM = 0.5
"""How far outside the range of the training frames a value may lie, as a share of its size."""

WORDS = {
    "mean": "mean grey level",
    "brightest": "brightest pixel",
    "contrast": "contrast (standard deviation over mean)",
    "grain": "grain size in px",
}

Ranges = dict[str, list[float]]
"""Name of a number to its lowest and highest value."""


def appearance(frames: Tensor | Frames) -> Ranges:
    """Range of mean, brightest pixel, contrast and grain size over a sample of frames."""
    values = torch.stack([_measure(frames[number]) for number in evenly(len(frames), SAMPLE)])
    low, high = values.amin(0).tolist(), values.amax(0).tolist()
    return {name: list(both) for name, both in zip(WORDS, zip(low, high, strict=True), strict=True)}


def unusual(frames: Tensor | Frames, known: Ranges) -> list[str]:
    """Sentences on what is far outside the range of the training frames; empty where nothing is.

    A value is far outside where it lies more than half of the nearest training value away from it.
    """
    found = appearance(frames)
    return [sentence(name, found, known) for name in outside(found, known)]


def outside(found: Ranges, known: Ranges) -> list[str]:
    """Names of the numbers that are far outside the known range."""
    return [
        name
        for name, (low, high) in known.items()
        if found[name][1] < low * (1 - ROOM) or found[name][0] > high * (1 + ROOM)
    ]


def sentence(name: str, found: Ranges, known: Ranges) -> str:
    """Both ranges of a number in words."""
    return f"The {WORDS[name]} is {_span(found[name])}; the training frames had {_span(known[name])}."


def _span(both: list[float]) -> str:
    low, high = (f"{value:.3g}" for value in both)
    return low if low == high else f"{low} to {high}"


def _measure(frame: Tensor) -> Float[Tensor, " 4"]:
    light = frame.float()
    reach = max(1, min(16, min(light.shape) // 2))
    grain = (0.0, 0.0)
    if light.std() > 0:
        grain = statistics.grain_size(statistics.autocorrelation(light[None], reach))
    size = [2.0 * reach if width == float("inf") else width for width in grain]
    return torch.tensor([light.mean().item(), light.max().item(), statistics.contrast(light).item(), sum(size) / 2])
