"""Images of files that are kept where reading is quick: in memory, or in one mapped file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Shaped
from rich.progress import Progress
from torch import Tensor

from spt.data.cache.disk import on_disk, pieces, size_of
from spt.data.cache.free_memory import free_memory, in_words
from spt.data.files.frames import Frames
from spt.data.pairs import Pairs
from spt.errors import InvalidValue

log = logging.getLogger(__name__)

Cache = Literal["auto", "memory", "disk", "none"]
MOST = 0.8
"""Share of the free memory that ``memory`` takes at most."""
SMALL = 0.25
"""Share of the free memory up to which ``auto`` takes it."""
SLOW = 2**28
"""Bytes from which reading shows how far it is."""


class InMemory(Frames):
    """Images that were read once; worker processes share them.

    Args:
        original: the images in files, for messages.
        images: their pixels.
    """

    def __init__(self, original: Frames, images: Shaped[Tensor, "n h w"]) -> None:
        self.original, self.images = original, images

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number, height and width of the images [px]."""
        return self.original.shape

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels."""
        return self.images.dtype

    def read(self, rows: Sequence[int]) -> Shaped[Tensor, "b h w"]:
        """Some images; those of a range without a copy."""
        if isinstance(rows, range) and rows.step > 0:
            return self.images[rows.start : rows.stop : rows.step]
        return self.images[list(rows)]

    def name(self, row: int) -> str:
        """File of an image."""
        return self.original.name(row)

    def fingerprint(self) -> str:
        """That of the files."""
        return self.original.fingerprint()


def check_cache(cache: str) -> None:
    """Refuse an unknown choice.

    Raises:
        InvalidValue: if it is none of ``auto``, ``memory``, ``disk``, ``none``.
    """
    if cache not in get_args(Cache):
        raise InvalidValue(f"data.cache must be one of {', '.join(get_args(Cache))}, got {cache!r}.")


def kept(
    splits: Mapping[str, Pairs], cache: str, folder: Path, doing: str = "Reading the images", slow: int = SLOW
) -> dict[str, Pairs]:
    """The same pairs, those of files kept as ``data.cache`` says; pairs that are in memory stay there.

    Args:
        splits: pairs by the name of their split.
        cache: ``auto`` (memory, where the images take up to a quarter of what is free, else ``none``), ``memory``,
            ``disk`` or ``none``.
        folder: of the files of ``disk``.
        doing: what the progress bar says.
        slow: bytes from which there is one.
    Raises:
        InvalidValue: if the images do not fit, or one of them cannot be read.
        OSError: if the folder cannot be written.
    """
    in_files = [
        images for pairs in splits.values() for images in (pairs.speckle, pairs.target) if isinstance(images, Frames)
    ]
    size = sum(map(size_of, in_files))
    if size == 0:
        return dict(splits)
    chosen = _chosen(cache, size)
    if chosen == "none":
        return dict(splits)
    with Progress(transient=True, disable=size < slow) as progress:
        advance = partial(progress.advance, progress.add_task(doing, total=size))

        def keep(images: Tensor | Frames) -> Tensor | Frames:
            if isinstance(images, Tensor):
                return images
            if chosen == "disk":
                return on_disk(images, folder, advance)
            return in_memory(images, advance)

        result = {
            name: replace(pairs, speckle=keep(pairs.speckle), target=keep(pairs.target))
            for name, pairs in splits.items()
        }
    log.info("Images cached in %s: %s.", folder if chosen == "disk" else "memory", in_words(size))
    return result


def in_memory(frames: Frames, advance: Callable[[int], object] = lambda count: None) -> InMemory:
    """Read images once.

    Args:
        frames: images in files.
        advance: told how many bytes were read.
    Raises:
        InvalidValue: if one of them cannot be read.
    """
    images = torch.empty(frames.shape, dtype=frames.dtype)
    for part in pieces(frames):
        images.numpy()[part] = frames[part].numpy()  # by numpy: torch does not assign to parts of every type
        advance(images[part].nbytes)
    return InMemory(frames, images)


def _chosen(cache: str, size: int) -> str:
    """What is done with so many bytes."""
    free = free_memory()
    if cache == "memory" and size > MOST * free:
        raise InvalidValue(
            f"data.cache=memory needs {in_words(size)} for the images of all splits, and {MOST:.0%} of the free "
            f"memory are {in_words(int(MOST * free))}. Use data.cache=disk or none."
        )
    if cache != "auto":
        return cache
    if size <= SMALL * free:
        return "memory"
    log.info(
        "Images are read from their files in every epoch: %s, more than a quarter of the free memory (%s). "
        "data.cache=memory or disk may be quicker.",
        in_words(size),
        in_words(free),
    )
    return "none"
