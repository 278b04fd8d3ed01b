"""The splits of a data set as they are, and further new diffusers."""

from collections.abc import Mapping
from dataclasses import replace

from spt.data.pairs import Pairs
from spt.data.simulated import SimulatedSpeckles
from spt.errors import InvalidValue
from spt.evaluation.protocols.plan import UNSEEN, Plan, Point, Subject
from spt.evaluation.protocols.simulated_pairs import both_kinds, named


def splits(subject: Subject) -> list[Plan]:
    """Every split but ``train``."""
    return [_as_they_are("splits", "every split", subject, subject.splits)]


def seen(subject: Subject) -> list[Plan]:
    """The splits with new objects behind the diffusers of the training.

    Raises:
        InvalidValue: if there is none.
    """
    if not subject.own:
        raise InvalidValue(
            "protocol=seen needs trained diffusers, and all diffusers of these data are new to the network."
        )
    there = {name: pairs for name, pairs in subject.splits.items() if name.endswith("_seen")}
    if not there:
        raise InvalidValue(
            f"protocol=seen needs a split with trained diffusers, val_seen or test_seen. These data have "
            f"{', '.join(subject.splits) or 'none'}."
        )
    return [_as_they_are("seen", "new objects, trained diffusers", subject, there)]


def unseen_diffuser(subject: Subject) -> list[Plan]:
    """Simulated: the same new objects behind trained and behind new diffusers. Recorded: the splits that are there.

    Raises:
        InvalidValue: if recorded pairs have no split with unseen diffusers.
    """
    title = "the same new objects"
    if isinstance(subject.source, SimulatedSpeckles):
        pairs = both_kinds(subject, subject.source)
        notes = subject.notes()
        if subject.source.setup.measured:
            notes.append("The media were measured: the new ones are those of val_unseen.")
        return [Plan("unseen_diffuser", title, [Point("new objects", named(pairs, "new objects"))], notes=notes)]
    there = {name: pairs for name, pairs in subject.splits.items() if subject.kind(name) == UNSEEN}
    if not there:
        raise InvalidValue(
            "protocol=unseen_diffuser: no recorded pair is behind an unseen diffuser. Name diffusers that do not train "
            "with data.source.split.unseen_diffusers=[…] and train again."
        )
    return [_as_they_are("unseen_diffuser", title, subject, there)]


def by_distance(subject: Subject) -> list[Plan]:
    """Recorded pairs with a distance each: a point for every distance.

    Raises:
        InvalidValue: if the pairs have no distance.
    """
    known = {name: pairs for name, pairs in subject.splits.items() if "distance" in pairs.parameters}
    if not known:
        raise InvalidValue(
            "protocol=unseen_distance: these pairs were recorded and have no distance. Add the distances with "
            "data.source.manifest or data.source.numbers.distance, or choose a simulated set."
        )
    if subject.values is not None:
        raise InvalidValue(
            "values= changes a simulation. Recorded pairs have the distances that they were recorded at."
        )
    distances = sorted({value for pairs in known.values() for value in pairs.parameters["distance"].tolist()})
    points = [
        Point(f"{name}, {distance * 1e3:.4g} mm", {subject.kind(name): part}, distance * 1e3)
        for name, pairs in known.items()
        for distance in distances
        if (part := _at(pairs, distance)) is not None
    ]
    axis = "distance [mm]"
    return [Plan("unseen_distance", "each distance of the recorded pairs", points, axis, notes=subject.notes())]


def _at(pairs: Pairs, distance: float) -> Pairs | None:
    """The pairs of one distance; None where there is none."""
    rows = (pairs.parameters["distance"] == distance).nonzero().flatten()
    if not len(rows):
        return None
    parameters = {name: values[rows] for name, values in pairs.parameters.items()}
    name = f"{pairs.name}, {distance * 1e3:.4g} mm"
    return Pairs(name, pairs.speckle[rows.tolist()], pairs.target[rows.tolist()], pairs.diffuser[rows], parameters)


def _as_they_are(name: str, title: str, subject: Subject, chosen: Mapping[str, Pairs]) -> Plan:
    points = [Point(split, {subject.kind(split): replace(pairs)}) for split, pairs in chosen.items()]
    return Plan(name, title, points, notes=subject.notes(), own=subject.own)
