"""Whether a simulated set shows diffusers or objects that trained the network: the same seed draws the same ones."""

import hashlib
from collections.abc import Hashable

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from spt.data.objects import StoredObjects
from spt.data.settings import describe
from spt.data.simulated import SimulatedSpeckles
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import SEEN, kind_by_name
from spt.optics import IncoherentSetup, RandomMatrixSetup, Setup

NOT_OF_THE_MEDIUM = ("window", "modulation", "polariser", "floor")
"""Settings of measured media that do not decide which of them are dealt out, or how they are cut."""


def has_trained_diffusers(own: SimulatedSpeckles, other: SimulatedSpeckles, images: int) -> bool:
    """Whether the splits of another set show the diffusers that their names say; False where all are new.

    A diffuser is that of the training where it is drawn from the same random numbers, whatever else was changed.

    Args:
        own: what the network was trained on.
        other: what it is evaluated on.
        images: so many pairs of a split may be simulated.
    Raises:
        InvalidValue: if neither is true, or objects of the other set trained the network.
    """
    _refuse_trained_objects(own, other)
    if not _same_media(own, other):
        return False
    trained, wrong = set(own.diffusers("train", range(own.train))), []
    shown = {
        split: set(other.diffusers(split, range(max(count, images))))
        for split, count in other.counts.items()
        if split != "train"
    }
    if not any(numbers & trained for numbers in shown.values()):
        return False
    for split, numbers in shown.items():
        new = numbers - trained
        if new if kind_by_name(split) == SEEN else new != numbers:
            wrong.append(split)
    if wrong:
        raise InvalidValue(
            f"{', '.join(wrong)} of these data would mix diffusers that trained the network with others. Leave "
            f"data.source.train_diffusers={_shown(own.train_diffusers)}, unseen_diffusers={own.unseen_diffusers} and "
            f"train={own.train} as they were, or draw all of them anew with another data.source.seed."
        )
    return True


def _same_media(own: SimulatedSpeckles, other: SimulatedSpeckles) -> bool:
    """Whether a number names the same medium in both sets.

    Raises:
        InvalidValue: if measured media are dealt out in another way: some of the new ones may have trained.
    """
    if own.setup.measured and other.setup.measured and type(own.setup) is type(other.setup):
        if (own.seed, _measured(own.setup)) != (other.seed, _measured(other.setup)):
            raise InvalidValue(
                "the media of these data were measured, and there is a limited number of them. After this change "
                "others are called trained and unseen. Leave data.source.seed and the files, positions, size and "
                "binning of data.source.setup as they were."
            )
        return True
    if own.setup.measured or other.setup.measured:
        return False
    return (own.seed, _drawn(own.setup)) == (other.seed, _drawn(other.setup))


def _drawn(setup: Setup) -> Hashable:
    """What decides how many random numbers a medium takes: with as many it is the same one."""
    if isinstance(setup, RandomMatrixSetup):
        return "matrix", setup.window, setup.inputs
    return getattr(setup.psf if isinstance(setup, IncoherentSetup) else setup, "grid", None)


def _measured(setup: Setup) -> object:
    settings = describe(setup.psf if isinstance(setup, IncoherentSetup) else setup)
    return {name: value for name, value in settings.items() if name not in NOT_OF_THE_MEDIUM}


def _refuse_trained_objects(own: SimulatedSpeckles, other: SimulatedSpeckles) -> None:
    """Refuse objects that trained: drawn ones are apart by their splits, stored ones by settings that can differ.

    Raises:
        InvalidValue: naming the setting or the split.
    """
    if type(own.objects) is not type(other.objects) or own.objects == other.objects:
        return
    mine, theirs = (getattr(source.objects, "held_out", None) for source in (own, other))
    if mine != theirs and "val_class" in other.counts:
        raise InvalidValue(
            f"data.source.objects.held_out={theirs!r}: val_class would show classes that trained the network. Leave "
            f"it as it was, {mine!r}."
        )
    trained = trained_images(own)
    for split, count in other.counts.items() if trained else ():
        again = split != "train" and trained & digests(other.draw_objects(split, range(count)))
        if again:
            raise InvalidValue(
                f"{len(again)} objects of {split} trained the network. Leave data.source.objects.validation_share "
                "and leave_out as they were, or choose other objects."
            )


def trained_images(own: SimulatedSpeckles) -> set[bytes]:
    """Digests of the stored images that trained a network; none where the objects are drawn.

    Args:
        own: what the network was trained on.
    """
    if not isinstance(own.objects, StoredObjects):
        return set()
    there = own.objects.count("train") or 0
    return digests(own.draw_objects("train", range(min(own.train, there))))


def digests(images: UInt8[Tensor, "n h w"]) -> set[bytes]:
    """A digest of each image."""
    return {hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in np.ascontiguousarray(images.numpy())}


def _shown(value: int | None) -> str:
    return "null" if value is None else str(value)
