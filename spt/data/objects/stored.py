"""Objects from files: digits, characters, or any folder of images."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spt.data.objects.image_files import Item, decode, find_white, list_images
from spt.data.objects.source import ObjectSource
from spt.errors import InvalidValue, MissingFile

log = logging.getLogger(__name__)

Pools = dict[str, list[int]]


@dataclass(frozen=True)
class StoredObjects(ObjectSource):
    """Images of files, split by image; equal images count as one.

    ``val_class`` holds every image of the held-out classes; a share of all others serves ``val_seen`` and
    ``val_unseen``, from its beginning, and ``test_seen``, from its end. The rest trains, again from the start where
    more pairs than images are asked for.

    Args:
        path: one or several folders or files, see :func:`spt.data.objects.image_files.list_images`.
        images: key of the images in a file of several arrays.
        labels: key of the labels in such a file, or the name of an idx or ``.npy`` file of labels beside ``path``.
        held_out: classes kept for ``val_class``; without any there is no such split.
        validation_share: share of the other images kept for validation.
        leave_out: number of first images that are not used at all.
        invert: whether ink is black in the files.
        white: grey level of white; None finds it in a sample, and the log says it.
        threshold: values above become 1, the others 0; None keeps them grey.
        axes: meaning of the axes of an array, such as ``hwn``; needed where its shape leaves a doubt.
    Raises:
        InvalidValue: if a setting is out of range, or names a class that the files do not have.
        MissingFile: when the files are needed and not there.
    """

    path: str | Sequence[str | None] | None
    images: str | None = None
    labels: str | None = None
    held_out: Sequence[str] = ()
    validation_share: float = 0.1
    leave_out: int = 0
    invert: bool = False
    white: int | None = None
    threshold: float | None = None
    axes: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.validation_share < 1:
            raise InvalidValue(f"data.source.objects.validation_share must lie in (0, 1), got {self.validation_share}.")
        if self.leave_out < 0:
            raise InvalidValue(f"data.source.objects.leave_out must be 0 or more, got {self.leave_out}.")
        if self.white is not None and self.white < 1:
            raise InvalidValue(f"data.source.objects.white must be at least 1 or null, got {self.white}.")
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise InvalidValue(f"data.source.objects.threshold must lie in [0, 1) or be null, got {self.threshold}.")

    def describe(self) -> dict[str, Any]:
        """Settings and a fingerprint of the files' contents; where they lie does not matter."""
        names = ("validation_share", "leave_out", "invert", "white", "threshold")
        held_out = [str(name) for name in self.held_out]
        return {name: getattr(self, name) for name in names} | {"held_out": held_out, "content": self._fingerprint}

    def count(self, split: str) -> int | None:
        """How many different images a split has; ``test_seen`` at most half of those that do not train."""
        return len(self._pools[split]) // (2 if split == "test_seen" else 1)

    def identify(self, split: str, numbers: Sequence[int], seed: int) -> list[int]:
        """Place of each image in the sorted files."""
        pool = self._pools[split]
        order = np.random.default_rng([seed, len(pool)]).permutation(len(pool))
        order = order[::-1] if split == "test_seen" else order
        return [pool[order[number % len(pool)]] for number in numbers]

    def classes(self, split: str, numbers: Sequence[int], seed: int) -> list[str]:
        """Sub-folder or label of each image; empty where the files have none."""
        return [self._items[k].label for k in self.identify(split, numbers, seed)]

    def contents(self, split: str, numbers: Sequence[int], seed: int) -> list[bytes]:
        """A digest of the stored image of each object, whatever is made of it: equal images have equal ones."""
        return [self._digests[k] for k in self.identify(split, numbers, seed)]

    def draw(self, split: str, numbers: Sequence[int], size: int, seed: int) -> UInt8[np.ndarray, "n h w"]:
        """Read images, their middle square scaled to ``size`` px."""
        return np.stack([self._draw_one(k, size) for k in self.identify(split, numbers, seed)])

    def _draw_one(self, index: int, size: int) -> UInt8[np.ndarray, "h w"]:
        image = decode(self._items[index], self._white)
        height, width = image.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(image[top : top + side, left : left + side])
        scaled = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)).clip(0, 1)
        scaled = 1 - scaled if self.invert else scaled
        if self.threshold is not None:
            scaled = (scaled > self.threshold).astype(np.float32)
        return (scaled * 255).round().astype(np.uint8)

    @cached_property
    def _items(self) -> list[Item]:
        paths = [self.path] if isinstance(self.path, str) else list(self.path or [])
        named = [path for path in paths if path]
        if not named or len(named) < len(paths):
            raise MissingFile(
                "these objects are not part of the repository. Set the environment variable SPT_DATA to the folder "
                "that holds them, or data.source.objects.path to the file or folder itself."
            )
        found = [list_images(Path(path).expanduser(), self.images, self.labels, self.axes) for path in named]
        return [item for items in found for item in items]

    @cached_property
    def _white(self) -> float:
        if self.white is not None:
            return self.white
        white, said = find_white(self._items, str(self.path))
        log.info("Objects of %s: %s.", self.path, said)
        return white

    @cached_property
    def _digests(self) -> list[bytes]:
        contents = (item.content() for item in self._items)
        return [hashlib.blake2b(c if isinstance(c, bytes) else c.tobytes(), digest_size=16).digest() for c in contents]

    @cached_property
    def _fingerprint(self) -> str:
        labels = "\0".join(item.label for item in self._items).encode()
        return hashlib.sha256(b"".join(self._digests) + labels).hexdigest()[:16]

    @cached_property
    def _pools(self) -> Pools:
        first = {digest: k for k, digest in reversed(list(enumerate(self._digests)))}
        kept = sorted(k for k in first.values() if k >= self.leave_out)
        held_out = {str(name) for name in self.held_out}
        known = sorted({item.label for item in self._items} - {""})
        if held_out - set(known):
            raise InvalidValue(
                f"data.source.objects.held_out names {sorted(held_out - set(known))}, but the classes of {self.path} "
                f"are {', '.join(known) or 'none: it has no sub-folders or labels'}."
            )
        others = [k for k in kept if self._items[k].label not in held_out]
        validation = round(self.validation_share * len(others))
        if not 0 < validation < len(others):
            raise InvalidValue(
                f"{self.path}: {len(others)} different images outside data.source.objects.held_out are too few to "
                f"train and validate (validation_share = {self.validation_share}, leave_out = {self.leave_out})."
            )
        mixed = [others[k] for k in np.random.default_rng(0).permutation(len(others))]
        seen = mixed[:validation]
        new = [k for k in kept if self._items[k].label in held_out]
        return {"train": mixed[validation:], "val_seen": seen, "val_class": new, "val_unseen": seen, "test_seen": seen}
