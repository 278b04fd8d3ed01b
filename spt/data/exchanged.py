"""Pairs whose speckles look like objects and whose targets look like speckles: the two may be exchanged."""

import torch
from torch import Tensor

from spt.data.files.frames import Frames
from spt.data.pairs import Pairs
from spt.data.readers import evenly

SAMPLE = 64
"""Pairs, evenly spread over the set, that are looked at."""

OBJECT, SPECKLE = 0.5, 0.3
"""Objects in black and white have a greater share of extreme pixels than the first, speckles a smaller than the second.

Measured shares: digits of MNIST at 256 px .80, as JPEG of quality 50 .78, in black and white 1; real speckles through
220-grit glass .001 to .008; exponential speckle with two photons a pixel on average .33.
"""


def exchanged(pairs: Pairs) -> str | None:
    """A sentence where speckle and target look exchanged; None where they do not.

    The sign is the share of pixels that are at the lowest or the highest level of their image. Grey objects, such as
    photographs, have few such pixels, so that nothing is said of them.
    """
    speckle, target = extremes(pairs.speckle), extremes(pairs.target)
    if speckle < OBJECT or target > SPECKLE:
        return None
    return (
        f"The speckles of {pairs.name} look like objects: {speckle:.0%} of their pixels are at the lowest or the "
        f"highest level. The targets look like speckles: {target:.0%}. The two may be exchanged. Check "
        "data.source.speckle and data.source.target, or the names of the folders."
    )


def extremes(images: Tensor | Frames) -> float:
    """Share of the pixels that are at the lowest or the highest level of their image, in a sample."""
    sample = torch.as_tensor(images[evenly(len(images), SAMPLE)]).float().flatten(1)
    low, high = torch.aminmax(sample, dim=1, keepdim=True)
    return ((sample == low) | (sample == high)).float().mean().item()
