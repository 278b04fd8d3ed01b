"""Small imitations of what laboratories hold, written with the libraries that they use."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
import tifffile
from PIL import Image as Picture

from spt.data.recorded.folder import FolderPairs
from spt.data.recorded.table import Table

SIDE = 8


def image(number: int, side: int = SIDE, white: int = 255) -> np.ndarray:
    """Random pixels that follow from a number, from 0 to white."""
    pixels = np.random.default_rng(number).integers(0, white + 1, (side, side))
    pixels[0, :2] = 0, white
    return pixels.astype(np.uint8 if white < 256 else np.uint16)


def images(numbers: Iterable[int], side: int = SIDE) -> np.ndarray:
    """A stack of random images, (n, h, w)."""
    return np.stack([image(k, side) for k in numbers])


def write(path: Path, pixels: np.ndarray) -> Path:
    """Write a picture, or an array by ``numpy``; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels)
    else:
        Picture.fromarray(pixels).save(path)
    return path


def matlab73(path: Path, **arrays: np.ndarray) -> None:
    """Write as MATLAB -v7.3 does: HDF5 behind a header, all axes the other way round."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def write_pairs(root: Path, speckle: str, target: str, numbers: Iterable[int], start: int = 0) -> None:
    """Write speckle ``start + k`` and its target, 1000 more, under names that hold ``{}`` for k."""
    for k in numbers:
        write(root / speckle.format(k), image(start + k))
        write(root / target.format(k), image(1000 + start + k))


def folder(root: Path, **settings: object) -> FolderPairs:
    return FolderPairs(str(root), **settings)  # type: ignore[arg-type]


def names(table: Table, root: Path) -> list[tuple[str, str]]:
    """Files of each pair below the root."""
    return [
        (row.speckle.path.relative_to(root).as_posix(), row.target.path.relative_to(root).as_posix())
        for row in table.rows
    ]


def belongs_together(source: FolderPairs, speckles: Sequence[int], targets: Sequence[int]) -> None:
    """Every pair shows the speckle and the target that were written under these numbers."""
    frames, there = source.speckles
    objects, theirs, _ = source.targets
    assert len(there) == len(theirs) == len(speckles)
    for k, (speckle, target) in enumerate(zip(speckles, targets, strict=True)):
        assert np.array_equal(frames[there[k]], image(speckle))
        assert np.array_equal(objects[theirs[k]], image(target))
