"""What a protocol evaluates on: points, each with pairs behind trained and behind unseen diffusers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spt.data.pairs import Pairs
from spt.data.source import Source

SEEN, UNSEEN = "seen", "unseen"
"""Behind diffusers of the training, and behind others: never averaged."""


def kind_by_name(split: str) -> str:
    """Whether a split of the data that the network was trained on shows trained or unseen diffusers."""
    return UNSEEN if split.endswith("unseen") else SEEN


@dataclass(frozen=True)
class Subject:
    """What is evaluated on.

    Args:
        source: of the data.
        splits: its pairs, with prepared objects; without ``train``.
        own: whether the splits show the diffusers that their names say; where not, all are new to the network.
        images: how many pairs a protocol simulates for each kind of diffuser and each point.
        values: for a curve: the values of the changed quantity, in SI units; None for those of the protocol.
        objects: name to objects that ``unseen_class`` may show.
    """

    source: Source
    splits: Mapping[str, Pairs]
    own: bool = True
    images: int = 128
    values: Sequence[float] | None = None
    objects: Mapping[str, object] = field(default_factory=dict)

    def kind(self, split: str) -> str:
        """Whether a split shows trained or unseen diffusers."""
        return kind_by_name(split) if self.own else UNSEEN

    def notes(self) -> list[str]:
        """What every table on these data says first."""
        return [] if self.own else ["The network was not trained on these data."]


@dataclass(frozen=True)
class Point:
    """One condition.

    Args:
        label: what tables call it.
        pairs: ``seen`` or ``unseen`` to pairs; one of them or both.
        value: of the quantity that is changed, in the unit of the curve; None where no number says it.
        references: name to (mean, standard error) of what the network is compared with beside the baselines.
    """

    label: str
    pairs: Mapping[str, Pairs]
    value: float | None = None
    references: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A table of conditions; a curve where they have values.

    Args:
        name: of its files.
        title: what is evaluated, in words.
        points: of the table, in the order of a curve.
        axis: the quantity and its unit; empty where the points have no values.
        trained: range of the quantity in the training, in the unit of the axis.
        notes: sentences on what was left out, and why.
        own: whether the network was trained on these data.
    """

    name: str
    title: str
    points: Sequence[Point]
    axis: str = ""
    trained: tuple[float, float] | None = None
    notes: Sequence[str] = ()
    own: bool = True

    @property
    def kinds(self) -> list[str]:
        """Kinds of diffusers that any point has."""
        return [kind for kind in (SEEN, UNSEEN) if any(kind in point.pairs for point in self.points)]
