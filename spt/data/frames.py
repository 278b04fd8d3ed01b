"""Frames without objects: an array file, or a folder of images or array files."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.readers import evenly, native, open_npy, read_arrays, read_picture
from spt.errors import InvalidValue, MissingFile

PICTURES = (".bmp", ".png", ".tif", ".tiff")
ARRAYS = (".npy", ".npz")


def read_frames(path: Path, limit: int | None = None) -> Shaped[Tensor, "n h w"]:
    """Read the frames that a path holds, in the order of the file names, in which 2 comes before 10.

    Args:
        path: ``.npy`` or ``.npz`` (array ``speckle``) of shape (n, h, w), (n, h, w, 1) or (h, w), a picture of one
            channel, also of several pages, or a folder of such files, all of one size.
        limit: at most so many, evenly spread over the files and over the frames of a file; the others are not read.
    Raises:
        MissingFile: if there is no such path, or no such file in the folder.
        InvalidValue: if a file cannot be read, is of another shape, or differs in size from the first.
    """
    if not path.exists():
        raise MissingFile(f"{path} is not there. Check frames=….")
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise MissingFile(f"{path} holds no {', '.join(PICTURES + ARRAYS)} file. Check frames=….")
    files = [files[k] for k in evenly(len(files), limit)]
    arrays = [_read(file, limit) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise InvalidValue(
                f"{file}: frames of {array.shape[1:]} px, but {files[0].name} has {arrays[0].shape[1:]}. Frames of one "
                "set have one size."
            )
    frames = np.concatenate(arrays)
    return torch.from_numpy(frames[evenly(len(frames), limit)])


def _files(folder: Path) -> list[Path]:
    """Pictures and arrays by name, numbers by value; hidden files, which some systems add, are no frames."""
    known = [p for p in folder.iterdir() if p.suffix.lower() in PICTURES + ARRAYS and not p.name.startswith(".")]
    return sorted(known, key=lambda p: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", p.name)])


def _read(file: Path, limit: int | None) -> Shaped[np.ndarray, "n h w"]:
    if file.suffix.lower() == ".npz":
        array = read_arrays(file, ["speckle"])["speckle"]
    else:
        array = open_npy(file) if file.suffix.lower() == ".npy" else read_picture(str(file), file)
    shape = array.shape
    if array.ndim == 4 and shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.dtype.kind not in "uif":
        raise InvalidValue(
            f"{file}: expected real frames (n, h, w), (n, h, w, 1) or (h, w), got {array.dtype} of shape {shape}."
        )
    frames = native(array[evenly(len(array), limit)])
    return frames if frames.dtype == np.uint8 else frames.astype(np.float32)  # few operations take uint16
