"""The verb evaluate twin: a network that was trained with a twin, on any objects behind new diffusers of the twin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spt.data.inputs import Unstacked
from spt.data.objects import BlackAndWhite, ObjectSource, OverlaidObjects, StoredObjects
from spt.data.preparation import Spectra
from spt.data.twin import Simulation, TwinTraining
from spt.errors import InvalidValue, UserError
from spt.evaluation.protocols import Plan
from spt.evaluation.protocols.plan import UNSEEN, Point
from spt.evaluation.protocols.scored import ScoredPlan, Scoring, score_plan
from spt.evaluation.scoring import draw
from spt.files import check_writable
from spt.run.building import build
from spt.run.evaluate import Done, done, write_tables
from spt.run.trained import Trained, open_trained
from spt.run.trust import CONFIGS

NAME = "twin_objects"

OBJECTS_A_DIFFUSER = 8
"""Of the test pairs."""

BASELINES = ("mean image", "nearest neighbour", "linear ridge")
"""Those that need no frame: a twin simulates spectra."""


@dataclass(frozen=True)
class TwinRequest:
    """What is asked for.

    Args:
        run: run folder of a network that was trained with a twin.
        objects: name to objects.
        binary: names of those that become black and white where the twin's objects let light through or not.
        images: pairs that are simulated for each kind of objects.
        baseline_pairs: simulated training pairs that the baselines learn from; 0 leaves the baselines out.
        out: folder of the results; None for ``evaluation/twin_objects`` in the run folder.
        device: where the network works.
    Raises:
        InvalidValue: if a number is out of range, or ``binary`` names no objects.
    """

    run: Path
    objects: Mapping[str, ObjectSource]
    binary: Sequence[str] = ()
    images: int = 256
    baseline_pairs: int = 6000
    out: Path | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        families = {path.stem for path in (CONFIGS / "objects").glob("*.yaml")}  # one of them may be left out
        unknown = [name for name in self.binary if name not in families | self.objects.keys()]
        if unknown:
            raise InvalidValue(f"binary names {', '.join(unknown)}; the objects are {', '.join(self.objects)}.")
        if self.images < 2 or self.baseline_pairs < 0:
            raise InvalidValue(
                f"images must be 2 or more and baseline_pairs 0 or more, got {self.images} and {self.baseline_pairs}."
            )


def evaluate_twin(request: TwinRequest) -> Done:
    """Simulate objects of each kind behind new diffusers, and score the network and three simple methods.

    The first row shows objects of the training's own kind that did not train.

    Raises:
        UserError: if there is no such run, or it was trained without a twin. Nothing is written then.
    """
    net = open_trained(request.run, request.device)
    fitted, preparation = net.twin, net.preparation
    twin: TwinTraining = build(net.config.data.twin)
    assert isinstance(preparation, Spectra)
    out = request.out or net.folder.evaluation / NAME
    check_writable(out)

    seed = int(net.config.seed)
    new = Simulation(fitted, twin.jitter, OBJECTS_A_DIFFUSER, seed)
    points, notes = [], ["Pictures show the spectrum of the middle window in the column of the speckle."]
    if not twin.grey:
        notes.append("Objects let light through or not, as the twin was fitted.")
    for name, objects, split in _kinds(twin.objects, request, grey=twin.grey):
        try:
            count = _count(objects, split, request.images)
            _refuse_trained(objects, split, count, twin.objects, seed)
            points.append(Point(name, {UNSEEN: new.pairs(name, preparation, objects, split, count, test=True)}))
        except UserError as error:
            notes.append(f"{name} is left out: {error}")
    train = None
    if request.baseline_pairs:
        count = min(request.baseline_pairs, twin.pairs)
        trained = Simulation(fitted, twin.jitter, twin.a_diffuser, seed)
        train = trained.pairs("train", preparation, twin.objects, "train", count, test=False)
    predictor = replace(net.predictor(), preparation=Unstacked(preparation.channels))
    scoring = Scoring(predictor, type(net.model).__name__, train, request.baseline_pairs, names=BASELINES)
    plan = Plan(NAME, "objects behind simulated diffusers of the twin", points, notes=notes)
    return _written(score_plan(plan, scoring), net, preparation.channels, out)


def _kinds(trained: ObjectSource, request: TwinRequest, grey: bool) -> list[tuple[str, ObjectSource, str]]:
    """Name, objects and split: those of the training's own kind first."""
    kinds = [("as in the training", trained, "test_seen")]
    if trained.count("val_class") != 0:
        kinds.append(("left-out classes", trained, "val_class"))
    for name, objects in request.objects.items():
        if objects != trained:
            shown = BlackAndWhite(objects) if name in request.binary and not grey else objects
            kinds.append((name, shown, "test_seen"))
    return kinds


def _count(objects: ObjectSource, split: str, images: int) -> int:
    """At most as many as there are objects.

    Raises:
        InvalidValue: if the split has none.
    """
    there = objects.count(split)
    if there == 0:
        raise InvalidValue(f"its split {split} has no objects.")
    return images if there is None else min(images, there)


def _refuse_trained(objects: ObjectSource, split: str, count: int, twin: ObjectSource, seed: int) -> None:
    """Refuse stored objects that trained; objects that are drawn are never drawn again.

    Raises:
        InvalidValue: saying how many.
    """
    trained = twin.objects if isinstance(twin, OverlaidObjects) else twin
    if not isinstance(trained, StoredObjects) or not isinstance(objects, StoredObjects):
        return
    known = trained.contents("train", range(trained.count("train") or 0), seed)
    again = set(known) & set(objects.contents(split, range(count), seed))
    if again:
        raise InvalidValue(f"{len(again)} of its objects trained the network.")


def _written(scored: ScoredPlan, net: Trained, channels: int, out: Path) -> Done:
    """Write tables and pictures.

    Raises:
        InvalidValue: if predictions are not finite, after everything was written.
    """
    write_tables([scored], out, f"{scored.network} of {net.folder.path}.")
    for (number, kind), result in scored.results.items():
        pairs = scored.plan.points[number].pairs[kind]
        middle = pairs.speckle[:].unflatten(1, (channels, -1))[:, (channels - 1) // 2]
        shown = replace(pairs, speckle=middle - middle.amin())
        draw(out / "figures", scored.network, shown, result, pairs.name.replace(" ", "_"), reliability=False)
    return done(NAME, [scored], out)
