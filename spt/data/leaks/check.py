"""A set with leaks is refused, or said."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from jaxtyping import Shaped
from torch import Tensor

from spt.data.leaks.equal import EqualFrames
from spt.data.leaks.search import find_leaks, repeated_objects
from spt.data.pairs import Pairs
from spt.data.similarity import Look
from spt.errors import InvalidValue

log = logging.getLogger(__name__)

SHOWN = 5
"""Leaks that a message names."""


def check_choice(leaks: str) -> None:
    """Refuse a setting that says nothing.

    Raises:
        InvalidValue: if it is none of ``error``, ``warn`` and ``off``.
    """
    if leaks not in ("error", "warn", "off"):
        raise InvalidValue(f"leaks must be error, warn or off, got {leaks!r}.")


def check_leaks(
    splits: Mapping[str, Pairs], leaks: Literal["error", "warn", "off"] = "error", look: Look | None = None
) -> None:
    """Refuse a set whose splits leak into each other.

    Args:
        splits: the pairs of each split by its name.
        leaks: ``error`` refuses a set with leaks, ``warn`` logs them, ``off`` reads nothing. Diffusers that hold equal
            frames are logged.
        look: shown every block of images that is read; it may refuse one.
    Raises:
        InvalidValue: if there are leaks and ``leaks`` is ``error``, or if it is none of the three.
    """
    check_choice(leaks)
    if leaks == "off":
        return
    equal = EqualFrames()

    def see(pairs: Pairs, start: int, speckle: Tensor, target: Tensor) -> None:
        if look is not None:
            look(pairs, start, speckle, target)
        equal(pairs, start, speckle, target)

    found = find_leaks(splits, see)
    for said in equal.sentences():
        log.warning("%s", said)
    if found:
        _refuse(found, leaks, "Keep all pairs of an object in one split, and unseen diffusers out of train")
    else:
        log.info("Leak check: no pair of another split repeats one of train.")


def check_simulated_objects(
    objects: Shaped[Tensor, "n h w"], splits: Mapping[str, Pairs], leaks: Literal["error", "warn", "off"] = "error"
) -> None:
    """Refuse training pairs that are simulated of objects that other splits show.

    Args:
        objects: what is simulated.
        splits: the measured pairs of each split by its name.
        leaks: as in :func:`check_leaks`.
    Raises:
        InvalidValue: if an object is one of another split and ``leaks`` is ``error``.
    """
    found = [] if leaks == "off" else repeated_objects(objects, splits)
    if found:
        _refuse(found, leaks, "Leave these objects out of data.twin.objects, for example with its leave_out")


def _refuse(found: Sequence[object], leaks: str, remedy: str) -> None:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    named = f"the splits leak into each other: {'; '.join(map(str, found[:SHOWN]))}{more}."
    if leaks == "error":
        raise InvalidValue(f"{named} {remedy}; leaks=warn goes on with a warning, leaks=off does not look.")
    log.warning("%s Scores of such pairs are too good.", named)
