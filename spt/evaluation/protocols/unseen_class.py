"""Other objects behind the same optics."""

from dataclasses import replace
from typing import cast

from spt.data.objects import ObjectSource
from spt.data.simulated import SimulatedSpeckles
from spt.errors import InvalidValue, UserError
from spt.evaluation.protocols.plan import Plan, Point, Subject
from spt.evaluation.protocols.simulated_pairs import both_kinds, named, object_split
from spt.evaluation.protocols.splits import splits
from spt.evaluation.protocols.trained_before import digests, trained_images

TITLE = "objects of other kinds"


def unseen_class(subject: Subject) -> list[Plan]:
    """The classes that were left out of training, and other sets of objects; of recorded pairs ``val_class``.

    Raises:
        InvalidValue: if recorded pairs have no split with classes that did not train.
    """
    if not isinstance(subject.source, SimulatedSpeckles):
        there = {name: pairs for name, pairs in subject.splits.items() if name == "val_class"}
        if not there:
            raise InvalidValue(
                "protocol=unseen_class: no recorded pair shows a class that did not train. Name such classes with "
                "data.source.split.unseen_classes=[…] and train again, or choose a simulated set."
            )
        (plan,) = splits(replace(subject, splits=there))
        return [replace(plan, name="unseen_class", title=TITLE)]
    points, notes, trained = [], subject.notes(), trained_images(subject.source)
    for name, source, split in _candidates(subject, subject.source):
        try:
            pairs = both_kinds(subject, source, split)
        except UserError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        shown = range(len(next(iter(pairs.values()))))
        again = trained and trained & digests(source.draw_objects(split or object_split(source, len(shown)), shown))
        if again:
            notes.append(f"{name} is left out: {len(again)} of its objects trained the network.")
            continue
        points.append(Point(name, named(pairs, name)))
    return [Plan("unseen_class", TITLE, points, notes=notes)]


def _candidates(subject: Subject, source: SimulatedSpeckles) -> list[tuple[str, SimulatedSpeckles, str | None]]:
    """Label, simulation and split of the objects: those of the training first, to compare with."""
    listed: list[tuple[str, SimulatedSpeckles, str | None]] = [("as in the training", source, None)]
    if source.objects.count("val_class") != 0:
        listed.append(("left-out classes", source, "val_class"))
    for name, objects in subject.objects.items():
        if objects != source.objects:
            listed.append((name, replace(source, objects=cast(ObjectSource, objects)), None))
    return listed
