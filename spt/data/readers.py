"""One file to arrays, with an error that names the file when it is not what was expected."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read named arrays of an ``.npz`` file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, of another format, or holds Python objects.
        KeyError: if an array is missing; the message lists those that are there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there. Check the path (data.source.root, SPT_DATA).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise KeyError(f"{path} holds no array {missing[0]!r}, only {sorted(archive)}.")
            return {name: archive[name] for name in names}
    except (
        zipfile.BadZipFile,
        zlib.error,
        TokenError,
        SyntaxError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        OSError,
    ) as error:
        raise ValueError(
            f"{path} cannot be read as .npz: truncated, or another format ({error}). Restore or delete the file."
        ) from error


def data_folder(root: str | None, name: str, key: str) -> Path:
    """The folder of a measured data set, which is not part of the repository.

    Args:
        root: the folder, or None where nothing says where the data lie.
        name: the folder's name under SPT_DATA.
        key: the setting that names the folder.
    Raises:
        FileNotFoundError: if it is not there; the message says what to set.
    """
    if not root:
        raise FileNotFoundError(
            f"measured data are not part of the repository. Set the environment variable SPT_DATA to the folder that "
            f"holds {name}/, or {key} to that folder itself."
        )
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. Set SPT_DATA, or {key}, to where the data lie.")
    return folder
