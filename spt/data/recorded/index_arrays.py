"""Arrays with one value a pair or an object: numbers of diffusers, of objects, of the pairs of a split."""

from pathlib import Path

import numpy as np

from spt.data.files.names import split_key
from spt.data.files.npy import open_npy
from spt.data.files.opening import CONTAINERS
from spt.data.files.problems import check_there
from spt.errors import InvalidValue, MissingFile, MissingName


def read_numbers(text: str, setting: str, root: Path = Path()) -> list[int]:
    """Whole numbers of an array.

    Args:
        text: the file, and behind a colon the array.
        setting: name of the setting, for messages.
        root: where a relative path begins.
    Raises:
        InvalidValue: if the array is empty or holds something else than whole numbers.
    """
    values = _read(text, setting, root)
    if values.dtype == bool:
        return np.flatnonzero(values).tolist()
    if values.dtype.kind not in "uif" or not np.array_equal(values, np.round(values)) or not values.size:
        raise InvalidValue(f"{setting}={text}: whole numbers are needed, got {values.dtype} of {values.size} values.")
    return values.astype(int).tolist()


def read_words(text: str, setting: str, root: Path, count: int) -> list[str]:
    """One value a pair, as text; a whole number without decimals.

    Raises:
        InvalidValue: if there is another number of values.
    """
    values = _read(text, setting, root)
    if values.size != count:
        raise InvalidValue(f"{setting}={text} holds {values.size} values, but there are {count} pairs.")
    if values.dtype.kind == "f" and np.array_equal(values, np.round(values)):
        values = values.astype(int)
    return [str(value) for value in values.tolist()]


def _read(text: str, setting: str, root: Path) -> np.ndarray:
    path, key = split_key(text)
    path = root / path
    if not path.is_file():
        raise MissingFile(f"{setting}={text}: {path} is not there.")
    check_there(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return open_npy(path).whole().ravel()
    if suffix not in CONTAINERS:
        raise InvalidValue(f"{setting}={text}: one of .npy, {', '.join(CONTAINERS)} is read here.")
    keys, opened = CONTAINERS[suffix]
    there = keys(path)
    if key is None and len(there) == 1:
        key = next(iter(there))
    if key not in there:
        raise MissingName(f"{setting}={text}: name the array after a colon; {path} holds {', '.join(there)}.")
    return opened(path, key).whole().ravel()
