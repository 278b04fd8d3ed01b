"""Pairs that a protocol simulates in memory: the same new objects behind trained and behind new diffusers."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.simulated import Light, SimulatedSpeckles
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import SEEN, UNSEEN, Subject


def simulated_source(subject: Subject, protocol: str, what: str) -> SimulatedSpeckles:
    """The simulation behind the data.

    Args:
        subject: the data.
        protocol: its name, for the message.
        what: what the protocol changes, for the message.
    Raises:
        InvalidValue: if the pairs were recorded.
    """
    if isinstance(subject.source, SimulatedSpeckles):
        return subject.source
    raise InvalidValue(
        f"protocol={protocol} changes {what}, so that it needs data that spt simulates. These pairs were recorded "
        f"({type(subject.source).__name__}). Choose protocol=splits, or a simulated set, for example data=weak_scatter."
    )


def both_kinds(
    subject: Subject, source: SimulatedSpeckles, split: str | None = None, light: Light | None = None, right: int = 0
) -> dict[str, Pairs]:
    """New objects behind the diffusers of the training, where the network was trained on these data, and behind others.

    Args:
        subject: the data of the run; its ``images`` are simulated for each kind.
        source: the simulation, with what the protocol changes.
        split: whose objects are shown; None for objects that chose nothing, where there are enough.
        light: as for :func:`simulated_pairs`.
        right: as for :func:`simulated_pairs`.
    """
    split = split or object_split(source, subject.images)
    kinds = [SEEN, UNSEEN] if subject.own else [UNSEEN]
    return {kind: simulated_pairs(source, split, subject.images, kind, light, right) for kind in kinds}


def object_split(source: SimulatedSpeckles, images: int) -> str:
    """``test_seen``, whose objects chose nothing; ``val_seen`` where stored objects are too few for it."""
    there = source.objects.count("test_seen")
    enough = "test_seen" in source.counts and (there is None or there >= images)
    return "test_seen" if enough else "val_seen"


def simulated_pairs(
    source: SimulatedSpeckles, split: str, images: int, kind: str, light: Light | None = None, right: int = 0
) -> Pairs:
    """Simulate the first pairs of a split in memory.

    Args:
        source: the simulation.
        split: whose objects are shown, and behind whose diffusers where ``kind`` is ``seen``.
        images: how many, at most as many as there are objects.
        kind: ``seen``, or ``unseen`` for new diffusers, one for each pair.
        light: makes the light instead of the setup.
        right: so many pixels of the optics' grid the objects are moved to the right.
    """
    there = source.objects.count(split)
    numbers = range(images if there is None else min(images, there))
    objects = moved_right(source.draw_objects(split, numbers), right)
    diffusers = source.new_diffusers(numbers) if kind == UNSEEN else source.diffusers(split, numbers)
    made = source.simulate(split, numbers, objects, source.processor, diffusers, light)
    types = {name: torch.from_numpy(np.empty(0, kind)).dtype for name, (_, kind) in source.columns().items()}
    columns = {name: values.cpu().to(types[name]) for name, values in made.items()}
    speckle, target, diffuser = (columns.pop(name) for name in ("speckle", "target", "diffuser"))
    return Pairs(split, speckle, target, diffuser, columns)


def moved_right(objects: Shaped[Tensor, "n h w"], by: int) -> Shaped[Tensor, "n h w"]:
    """Move objects over the dark by whole pixels."""
    return F.pad(objects, (by, 0))[..., : objects.shape[-1]]


def named(pairs: dict[str, Pairs], label: str) -> dict[str, Pairs]:
    """The same pairs, named by what they show, for titles and messages."""
    return {kind: replace(each, name=f"{label}, {kind} diffusers") for kind, each in pairs.items()}
