"""Frames without objects: an array file, or a folder of images or array files."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Real
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from spt.data.readers import read_arrays

IMAGES = (".bmp", ".png", ".tif", ".tiff")
ARRAYS = (".npy", ".npz")


def read_frames(path: Path) -> Real[Tensor, "n h w"]:
    """Read every frame that a path holds, in the order of the file names.

    Args:
        path: ``.npy`` or ``.npz`` (array ``speckle``) of shape (n, h, w), (n, h, w, 1) or (h, w), an image of one
            channel, or a folder of such files, all of one size.
    Raises:
        FileNotFoundError: if there is no such path, or no such file in the folder.
        ValueError: if a file cannot be read, is of another shape, or differs in size from the first.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there. Check frames=….")
    known = (
        sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES + ARRAYS) if path.is_dir() else [path]
    )
    if not known:
        raise FileNotFoundError(f"{path} holds no {', '.join(IMAGES + ARRAYS)} file. Check frames=….")
    arrays = [_read(file) for file in known]
    for file, array in zip(known, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{file}: frames of {array.shape[1:]} px, but {known[0].name} has {arrays[0].shape[1:]}. Frames of one "
                "set have one size."
            )
    return torch.from_numpy(np.concatenate(arrays))


def _read(file: Path) -> np.ndarray:
    array = _array(file) if file.suffix.lower() in ARRAYS else _image(file)
    shape = array.shape
    if array.ndim == 4 and shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.dtype.kind not in "uif":
        raise ValueError(
            f"{file}: expected real frames (n, h, w), (n, h, w, 1) or (h, w), got {array.dtype} of shape {shape}."
        )
    # torch.from_numpy takes no big-endian arrays, and few operations take uint16.
    return array.astype(np.uint8 if array.dtype == np.uint8 else np.float32)


def _array(file: Path) -> np.ndarray:
    if file.suffix.lower() == ".npz":
        return read_arrays(file, ["speckle"])["speckle"]
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{file} cannot be read as .npy: truncated, or another format ({error}).") from error


def _image(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as image:
            if len(image.getbands()) != 1 or image.mode == "P":
                raise ValueError(
                    f"{file} is a colour image ({image.mode}). Save frames with one channel of grey levels."
                )
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file} cannot be read as an image: truncated, or another format.") from error
