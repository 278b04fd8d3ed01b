"""Named ways to evaluate a trained network: which pairs each of them takes, their scores, tables and curves."""

from collections.abc import Callable

from spt.evaluation.protocols.changed_optics import noise, unseen_distance, unseen_grit
from spt.evaluation.protocols.memory_effect import memory_effect
from spt.evaluation.protocols.plan import Plan, Point, Subject
from spt.evaluation.protocols.splits import seen, splits, unseen_diffuser
from spt.evaluation.protocols.unseen_class import unseen_class

PROTOCOLS: dict[str, Callable[[Subject], list[Plan]]] = {
    "splits": splits,
    "seen": seen,
    "unseen_diffuser": unseen_diffuser,
    "unseen_class": unseen_class,
    "unseen_distance": unseen_distance,
    "unseen_grit": unseen_grit,
    "noise": noise,
    "memory_effect": memory_effect,
}
"""Name to what chooses the pairs; raises an ``InvalidValue`` where the data do not allow it."""

__all__ = ["PROTOCOLS", "Plan", "Point", "Subject"]
