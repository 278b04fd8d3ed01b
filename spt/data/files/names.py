"""Names of files: which can be read, in which order, and which array of a file is meant."""

import os
import re
from pathlib import Path

TIFF = (".tif", ".tiff")
PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".jp2", ".j2k", ".jpx", ".jpf", *TIFF)
"""Pictures, each of one image; a TIFF file may have several pages."""
HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
ARRAYS = (".npy", ".npz", ".mat", *HDF5)
"""Files of arrays, each of many images."""
RAW = (".bin", ".raw", ".dat")
"""Files of pixels alone: they need ``dtype`` and ``shape``."""
PICKLES = (".pkl", ".pickle", ".p")


def natural_key(name: str | Path) -> list[tuple[int, int, str]]:
    """Key for sorting by name, numbers by value: 2 before 10.

    Folders are compared one after the other, so that ``a/10`` stands after ``a/2`` and before ``b/1``.
    """
    parts = re.split(r"(\d+)", Path(name).as_posix())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part]


def is_hidden(name: str) -> bool:
    """Whether a system put the file there: ``.DS_Store``, ``._x.tif``, ``Thumbs.db``, ``desktop.ini``."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def split_key(text: str) -> tuple[Path, str | None]:
    """Split ``x.mat:XTrain`` into the file and the name of an array in it.

    A colon that belongs to the name of a file that is there, or to a drive (``C:\\x.mat``), does not split.
    ``~`` is the home folder.
    """
    if os.path.exists(expanded(text)):
        return expanded(text), None
    colons = [place.start() for place in re.finditer(":", text) if not _is_drive(text, place.start())]
    splits = [(expanded(text[:at]), text[at + 1 :]) for at in reversed(colons)]
    there = [split for split in splits if os.path.isfile(split[0])]
    named = [split for split in splits if split[0].suffix.lower() in ARRAYS]
    file, key = (there or named or [(expanded(text), "")])[0]
    return file, key or None


def expanded(path: str | Path) -> Path:
    """The path with the home folder for ``~``; a name that only begins with ``~`` stays as it is."""
    return Path(os.path.expanduser(path))


def _is_drive(text: str, at: int) -> bool:
    return at == 1 and text[0].isalpha() and text[2:3] in ("\\", "/")
