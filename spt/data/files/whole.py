"""Arrays of any kind, read whole: matrices, labels, lists of indices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Shaped

from spt.data.files.hdf5_arrays import is_hdf5, keys_of_hdf5, read_hdf5
from spt.data.files.matlab import keys_of_matlab
from spt.data.files.names import HDF5, expanded
from spt.data.files.problems import check_there, memory, reading
from spt.errors import InvalidValue, MissingName


def read_array(path: Path, key: str | None = None) -> Shaped[np.ndarray, "..."]:
    """Read one array whole, in the byte order of this machine. Complex numbers are fine.

    Args:
        path: ``.npy``, ``.npz``, HDF5 or MATLAB.
        key: name of the array in a file that can hold several.
    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is truncated, of another format, holds Python objects, or is larger than the memory.
        MissingName: if there is no such array; the message lists those that are there.
    """
    path = expanded(path)
    check_there(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path)
    if key is None:
        raise InvalidValue(f"{path}: name an array after a colon, such as {path.name}:index.")
    if suffix == ".npz":
        return read_arrays(path, [key])[key]
    hdf5 = suffix in HDF5 or (suffix == ".mat" and is_hdf5(path))
    if suffix != ".mat" and not hdf5:
        raise InvalidValue(f"{path} has no known ending. .npy, .npz, .mat and {', '.join(HDF5)} hold arrays.")
    _check_name(path, key.strip("/"), list((keys_of_hdf5 if hdf5 else keys_of_matlab)(path)))
    if hdf5:
        return native(read_hdf5(path, key.strip("/")))
    with reading(path, "MATLAB"):
        return native(np.asarray(scipy.io.loadmat(path, variable_names=[key])[key]))


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read named arrays of an ``.npz`` file, in the byte order of this machine.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if the file is truncated, of another format, or holds Python objects.
        MissingName: if an array is missing; the message lists those that are there.
    """
    path = expanded(path)
    check_there(path)
    with reading(path, ".npz"), np.load(path, allow_pickle=False) as archive:
        for name in names:
            _check_name(path, name, sorted(archive))
        return {name: native(archive[name]) for name in names}


def native(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """The array in the byte order of this machine, which torch needs."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_npy(path: Path) -> Shaped[np.ndarray, "..."]:
    with reading(path, ".npy"):
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if mapped.nbytes > memory():
            raise InvalidValue(f"{path} holds {mapped.nbytes / 2**30:.1f} GiB, more than the memory of this machine.")
        return native(np.array(mapped))


def _check_name(path: Path, name: str, there: Sequence[str]) -> None:
    if name not in there:
        raise MissingName(f"{path} holds no array {name!r}, only {list(there)}.")
