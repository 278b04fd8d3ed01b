"""Frames of 8 bit written in every format that spt reads, with the library that is usual for it."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import tifffile
from PIL import Image

from spt.data.files import FileSettings, Frames, open_folder, open_frames

MATLAB = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 2026 HDF5 schema 1.00 ."


def write(kind: str, folder: Path, frames: np.ndarray) -> Frames:
    """Write frames into a folder and open them again.

    Args:
        kind: a name of ``FORMATS``.
        folder: empty.
        frames: (n, h, w), 8 bit.
    """
    return FORMATS[kind](folder, frames)


def _one(
    name: str, save: Callable[[Path, np.ndarray], object], **settings: str
) -> Callable[[Path, np.ndarray], Frames]:
    """One file for all frames."""

    def written(folder: Path, frames: np.ndarray) -> Frames:
        save(folder / name, frames)
        given = {"axes": "nhw", **settings}
        return open_frames(folder / name, settings=FileSettings(**given))  # type: ignore[arg-type]  # text alone

    return written


def _many(suffix: str, save: Callable[[Path, np.ndarray], object]) -> Callable[[Path, np.ndarray], Frames]:
    """A file for every frame."""

    def written(folder: Path, frames: np.ndarray) -> Frames:
        for number, frame in enumerate(frames):
            save(folder / f"{number}{suffix}", frame)
        return open_folder(folder)

    return written


def _pillow(**settings: int) -> Callable[[Path, np.ndarray], None]:
    return lambda path, frame: Image.fromarray(frame).save(path, **settings)  # type: ignore[arg-type]  # of each format


def _hdf5(path: Path, frames: np.ndarray, **settings: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=frames, chunks=(1, *frames.shape[1:]), **settings)


def _matlab_73(path: Path, frames: np.ndarray) -> None:
    """As MATLAB writes h x w x n: the axes of the file are reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        data = frames.transpose(0, 2, 1)
        file.create_dataset("x", data=data, chunks=(1, *data.shape[1:])).attrs["MATLAB_class"] = np.bytes_("uint8")
    with path.open("r+b") as start:
        start.write(MATLAB.ljust(124) + b"\x00\x02IM")


def _raw(folder: Path, frames: np.ndarray) -> Frames:
    (folder / "x.raw").write_bytes(frames.tobytes())
    return open_frames(folder / "x.raw", settings=FileSettings(dtype="u1", shape=list(frames.shape[1:])))


FORMATS: dict[str, Callable[[Path, np.ndarray], Frames]] = {
    "npy": _one("x.npy", np.save),
    "npz": _one("x.npz", lambda path, frames: np.savez(path, x=frames)),
    "npz, compressed": _one("x.npz", lambda path, frames: np.savez_compressed(path, x=frames)),
    "raw": _raw,
    "HDF5": _one("x.h5", _hdf5),
    "HDF5, gzip": _one("x.h5", lambda path, frames: _hdf5(path, frames, compression="gzip")),
    "MATLAB v5": _one(
        "x.mat", lambda path, frames: scipy.io.savemat(path, {"x": frames.transpose(1, 2, 0)}), axes="hwn"
    ),
    "MATLAB v7.3": _one("x.mat", _matlab_73, axes="hwn"),
    "PNG": _many(".png", _pillow()),
    "BMP": _many(".bmp", _pillow()),
    "JPEG": _many(".jpg", _pillow(quality=95)),
    "JPEG 2000": _many(".jp2", _pillow()),
    "TIFF": _many(".tif", tifffile.imwrite),
    "TIFF, pages": _one("x.tif", lambda path, frames: tifffile.imwrite(path, frames, photometric="minisblack")),
    "TIFF, pages, PackBits": _one(
        "x.tif",
        lambda path, frames: Image.fromarray(frames[0]).save(
            path, save_all=True, append_images=[Image.fromarray(frame) for frame in frames[1:]], compression="packbits"
        ),
    ),
}
"""Name of a format to what writes and opens it."""
