"""Objects on disk: drawing them is slower than the optics, so every set of optics and every later run shares them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from spt.data.objects.source import ObjectSource
from spt.data.readers import read_arrays
from spt.files import atomic

RECIPE = 1
"""Raise this when the same settings give other pixels: old cache files are then left aside."""

BLOCK = 64


@dataclass(frozen=True)
class CachedObjects:
    """Objects of one size and seed, in blocks of 64 a file that grow with what is asked for.

    Args:
        objects: what is drawn.
        size: side of the images [px].
        seed: seeds every object together with its split and number.
        cache: folder of all caches.
    """

    objects: ObjectSource
    size: int
    seed: int
    cache: str

    @property
    def folder(self) -> Path:
        """The folder's name holds a hash of everything that decides the pixels."""
        settings = [type(self.objects).__name__, self.objects.describe(), self.size, self.seed, RECIPE]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return Path(self.cache).expanduser() / f"objects-{digest}"

    def load(self, split: str, start: int, stop: int) -> UInt8[np.ndarray, "n h w"]:
        """Objects ``start`` to ``stop - 1`` of a split, drawn first where they are not there yet."""
        folder = self.folder
        blocks = range(start // BLOCK, (stop - 1) // BLOCK + 1)
        images = [self._block(folder / f"{split}-{k:05d}.npz", split, k, min(stop - k * BLOCK, BLOCK)) for k in blocks]
        first = start - blocks[0] * BLOCK
        return np.concatenate(images)[first : first + stop - start]

    def _block(self, path: Path, split: str, block: int, count: int) -> UInt8[np.ndarray, "n h w"]:
        stored = read_arrays(path, ["objects"])["objects"] if path.exists() else None
        have = 0 if stored is None else len(stored)
        if stored is not None and have >= count:
            return stored[:count]
        new = self.objects.draw(split, range(block * BLOCK + have, block * BLOCK + count), self.size, self.seed)
        images = new if stored is None else np.concatenate([stored, new])
        with atomic(path) as part, part.open("wb") as file:
            np.savez_compressed(file, objects=images)
        return images
