"""Variables of MATLAB files: up to version 7 by scipy, version 7.3 as HDF5."""

from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Shaped

from spt.data.files.hdf5_arrays import is_hdf5, keys_of_hdf5, open_hdf5
from spt.data.files.npz import WholeArray
from spt.data.files.problems import check_type, reading
from spt.data.files.stored import StoredArray
from spt.errors import InvalidValue

LONGEST_NAME = 1024
"""Letters of a variable's name; MATLAB allows 63."""
TYPES = {
    "double": "f8",
    "single": "f4",
    "logical": "?",
    **{f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""Type of numpy for the classes of MATLAB that hold numbers."""


class Variable(WholeArray):
    """A variable of a MATLAB file up to version 7."""

    def unpack(self) -> Shaped[np.ndarray, "..."]:
        """Read the variable from the file."""
        values = np.asarray(scipy.io.loadmat(self.path, variable_names=[self.key])[self.key])
        check_type(self.title, self.path, values.dtype, values.shape)  # only now one sees complex numbers
        return values.astype(self.dtype, copy=False)


def keys_of_matlab(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the variables that hold numbers.

    Raises:
        InvalidValue: if the file is truncated, or of another format.
    """
    if is_hdf5(path):
        return keys_of_hdf5(path)
    with reading(path, "MATLAB"):
        check_version_4(path)
        return {name: shape for name, shape, kind in scipy.io.whosmat(path) if kind in TYPES}


def check_version_4(path: Path) -> None:
    """Refuse what scipy takes for a file of MATLAB 4 and is none: it would read a name of up to 2 GiB.

    Raises:
        ValueError: which :func:`spt.data.files.problems.reading` turns into a sentence with the file's name.
    """
    with path.open("rb") as file:
        start = file.read(20)
    if len(start) < 20:
        raise ValueError("less than a header")
    name = min(int.from_bytes(start[16:], order, signed=True) for order in ("little", "big"))
    if 0 in start[:4] and not 0 <= name <= LONGEST_NAME:
        raise ValueError("no header of MATLAB")


def open_matlab(path: Path, key: str) -> StoredArray:
    """Open one variable; only headers are read.

    Raises:
        InvalidValue: if the file is truncated, of another format, or the variable holds no images.
    """
    if is_hdf5(path):
        return open_hdf5(path, key)
    with reading(path, "MATLAB"):
        check_version_4(path)
        found = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        shape, kind = found[key]
        if kind not in TYPES:
            raise InvalidValue(
                f"{path}:{key} is of MATLAB's class {kind}, and images are an array of numbers. Save them as one."
            )
        dtype = np.dtype(TYPES[kind])
        check_type(f"{path}:{key}", path, dtype, shape)
        return Variable(path, key, "MATLAB", shape, dtype, path.stat().st_mtime_ns)
