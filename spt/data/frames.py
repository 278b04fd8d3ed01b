"""Frames without objects: any file or folder of frames, read into the memory."""

from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.files import FileSettings, open_folder, open_frames, split_key
from spt.data.readers import evenly


def read_frames(
    path: str | Path, limit: int | None = None, settings: FileSettings | None = None
) -> Shaped[Tensor, "n h w"]:
    """Read the frames that a path holds, in the order of the file names, in which 2 comes before 10.

    Args:
        path: a file that :mod:`spt.data.files` reads, ``file:key`` where it holds several arrays, or a folder of
            such files, all of one size.
        limit: at most so many, evenly spread over the files and over the frames of a file; the others are not read.
        settings: what the files alone do not say.
    Returns:
        uint8, or float32 for every other type.
    Raises:
        MissingFile: if there is no such path, or no such file in the folder.
        InvalidValue: if a file cannot be read, is of another shape, or differs in size from the first.
    """
    settings = settings or FileSettings()
    file, key = split_key(str(path))
    frames = open_folder(file, settings, limit) if file.is_dir() else open_frames(file, key, settings)
    read = frames[evenly(len(frames), limit)]
    return read if read.dtype == torch.uint8 else read.float()  # few operations take uint16
