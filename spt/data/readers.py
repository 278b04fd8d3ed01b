"""Checks and choices that all sources of frames share."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from spt.errors import InvalidValue, MissingFile


def evenly(count: int, most: int | None) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly spread, first and last among them."""
    if most is None or most >= count:
        return list(range(count))
    return np.linspace(0, count - 1, most).round().astype(int).tolist()


def check_intensities(speckle: Shaped[np.ndarray, "n h w"], path: Path | str) -> None:
    """Refuse frames that hold what no camera records.

    Raises:
        InvalidValue: if a frame holds NaN, infinity or a negative value; file and frames are named.
    """
    if speckle.dtype.kind in "ub":
        return
    bad = ~(np.isfinite(speckle) & (speckle >= 0)).all((1, 2))
    if bad.any():
        first = bad.nonzero()[0][:8].tolist()
        raise InvalidValue(
            f"{path}: frame(s) {', '.join(map(str, first))}{', …' if bad.sum() > 8 else ''} (counted from 0) hold NaN, "
            "infinity or negative intensities. Leave these frames out, or set negative values to 0."
        )


def data_folder(root: str | None, name: str, key: str) -> Path:
    """The folder of a measured data set, which is not part of the repository.

    Args:
        root: the folder, or None where nothing says where the data lie.
        name: the folder's name under SPT_DATA.
        key: the setting that names the folder.
    Raises:
        MissingFile: if it is not there; the message says what to set.
    """
    if not root:
        raise MissingFile(
            f"measured data are not part of the repository. Set the environment variable SPT_DATA to the folder that "
            f"holds {name}/, or {key} to that folder itself."
        )
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise MissingFile(f"{folder} is not a folder. Set SPT_DATA, or {key}, to where the data lie.")
    return folder
