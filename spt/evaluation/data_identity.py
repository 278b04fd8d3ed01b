"""Hashes of the images that scores were computed on: scores are comparable where they are equal."""

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from torch import Tensor

from spt.data.files.frames import Frames
from spt.data.pairs import Pairs
from spt.data.source import Simulation, Source
from spt.evaluation.baselines import PIXELS
from spt.evaluation.prepared_rows import parts

NOT_OF_THE_IMAGES = ("device", "train", "validation")
"""Settings of a simulation that do not decide its validation images, or whose effect the other hashed values hold."""


class Digest(Protocol):
    """A hash that grows."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


def data_hashes(source: Source, splits: Mapping[str, Pairs]) -> dict[str, str]:
    """Hash what the scores of every split but ``train`` depend on.

    Objects are hashed pixel by pixel, and the numbers of objects and diffusers. Recorded speckles are hashed pixel by
    pixel too. Simulated ones are hashed by their settings: another processor rounds the same light differently.

    Args:
        source: of the pairs.
        splits: as the network is scored on them, with prepared targets.
    """
    settings = None
    if isinstance(source, Simulation):
        settings = {name: value for name, value in source.settings().items() if name not in NOT_OF_THE_IMAGES}
    return {name: _hash(pairs, settings) for name, pairs in splits.items() if name != "train"}


def add_images(digest: Digest, images: Tensor | Frames) -> None:
    """Add all pixels of some images, with their shape and type, to a hash."""
    digest.update(f"{images.dtype} {tuple(images.shape)}".encode())
    for part in parts(images, PIXELS):
        digest.update(np.ascontiguousarray(images[part].cpu().numpy()).tobytes())


def _hash(pairs: Pairs, settings: Mapping[str, object] | None) -> str:
    digest = hashlib.blake2b(f"{pairs.name} {pairs.identity}".encode(), digest_size=8)
    add_images(digest, pairs.target)
    if settings is None:
        add_images(digest, pairs.speckle)
    else:
        digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()
