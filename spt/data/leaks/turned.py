"""Frames that were turned or mirrored: copies that somebody made to have more of them, before dividing the set."""

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.leaks.leak import Place
from spt.data.similarity import SIDE, distances, thumbnails, unit

MUCH = 10
"""A frame is a turned copy only if it is far from the other one as it is: farther than so many times the limit."""


def symmetric(small: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
    """The mean of each small copy over its eight orientations, as unit vectors.

    Turned by 90 degrees or mirrored, an image has the same mean. The mean is symmetric, so that one quarter is enough.
    """
    square = small.unflatten(1, (SIDE, SIDE))
    mirrored = square + square.flip(1)
    quarter = (mirrored + mirrored.flip(2))[:, : SIDE // 2, : SIDE // 2]
    return unit((quarter + quarter.mT).flatten(1))


def nearest_turned(first: Place, second: Place) -> tuple[float, float]:
    """1 less the correlation of two frames as they are, and in the best of the seven other orientations."""
    one, two = (thumbnails(place.pairs.speckle[[place.row]]) for place in (first, second))
    found = distances(torch.cat([each.flatten(1) for each in orientations(one.unflatten(1, (SIDE, SIDE)))]), two)[:, 0]
    return found[0].item(), found[1:].min().item()


def is_turned(first: Place, second: Place, limit: float) -> bool:
    """Whether a frame is a turned or mirrored copy of another one, up to a distance of ``limit``."""
    straight, turned = nearest_turned(first, second)
    return turned < limit and straight > MUCH * limit


def orientations(images: Float[Tensor, "b s s"]) -> list[Float[Tensor, "b s s"]]:
    """The eight orientations of square images; the first is as they are."""
    return [torch.rot90(image, turns, (1, 2)) for image in (images, images.flip(2)) for turns in range(4)]
