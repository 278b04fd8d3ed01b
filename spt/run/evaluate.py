"""The verb evaluate: a trained network on its own data, on other data, and along curves of what may change."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich import get_console
from rich.progress import track

from spt.data.cache.cached import kept
from spt.data.leaks import check_leaks
from spt.data.pairs import Pairs, with_targets
from spt.data.preparation import TargetPreparation
from spt.data.simulated import SimulatedSpeckles
from spt.data.source import Source
from spt.data.unusable import refuse_unusable
from spt.errors import InvalidType, InvalidValue, MissingFile, UserError
from spt.evaluation.metrics_file import add_protocol, write_json
from spt.evaluation.predict import Predictor
from spt.evaluation.protocols import PROTOCOLS, Plan, Subject
from spt.evaluation.protocols.figure import curve
from spt.evaluation.protocols.scored import ScoredPlan, Scoring, score_plan
from spt.evaluation.protocols.tables import as_json, as_markdown, show, write_csv
from spt.evaluation.protocols.trained_before import has_trained_diffusers
from spt.evaluation.scoring import draw
from spt.evaluation.speckle.figure import save
from spt.files import atomic, cache_folder, check_writable
from spt.run.building import build
from spt.run.bundled import is_bundled, refuse_bundled
from spt.run.continuing import anchored, override
from spt.run.event_file import write_event_file
from spt.run.folder import RunFolder
from spt.run.trained import Trained, open_trained
from spt.run.trust import CONFIGS, trusted
from spt.training.initial import read_checkpoint

OWN = ".evaluate"
"""How the event file for TensorBoard ends."""

LARGEST = 1e12
"""Of the values of a curve; more photoelectrons than that are no noise."""

CHOICES = (*PROTOCOLS, "all")

REST = "rest"
"""What ``train`` of other recorded data is called: these pairs are as new to the network as their other splits."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        run: run folder of the trained network.
        protocol: one of :data:`CHOICES`.
        images: pairs that a protocol simulates for each point and kind of diffuser.
        values: of a curve, in SI units; None for values around that of the training.
        baseline_pairs: training pairs that the baselines use at most; 0 leaves the baselines out.
        phase_retrieval: whether speckle correlation is a baseline where the optics are shift-invariant.
        refine: whether the images are refined through the twin that made the training pairs.
        orientations: the image is the mean over 1, 4 or 8 flipped and turned copies of the frame.
        out: folder of the results; None for ``evaluation`` in the run folder.
        device: where the network works.
        data: configuration of another data set; None for the run's own.
        data_name: what this set is called.
        changes: overrides of the run's own data, such as ``data.source.camera.photoelectrons=50``.
    Raises:
        UserError: if a name is missing or unknown, or a number is out of range.
    """

    run: str | None
    protocol: str = "splits"
    images: int = 128
    values: Any = None
    baseline_pairs: int = 6000
    phase_retrieval: bool = True
    refine: bool = False
    orientations: int = 1
    out: str | None = None
    device: str = "cpu"
    data: DictConfig | None = None
    data_name: str | None = None
    changes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.run:
            raise InvalidValue("run= is missing: python scripts/evaluate.py run=<folder>.")
        if self.protocol not in CHOICES:
            raise InvalidValue(f"protocol must be one of {', '.join(CHOICES)}, got {self.protocol!r}.")
        if self.images < 2 or self.baseline_pairs < 0:
            raise InvalidValue(
                f"images must be 2 or more and baseline_pairs 0 or more, got {self.images} and {self.baseline_pairs}."
            )
        if self.refine and self.orientations != 1:
            raise InvalidValue("refine=true takes frames as they are. Set orientations=1.")
        if self.values is not None:
            _check_values(self.values)
            if self.protocol not in ("unseen_distance", "unseen_grit", "noise"):
                raise InvalidValue("values= needs a curve: protocol=unseen_distance, unseen_grit or noise.")

    @property
    def own(self) -> bool:
        """Whether the data are those of the run, as they were."""
        return self.data is None and not self.changes

    def folder(self, run: Path, protocol: str) -> Path:
        """Where the results of a protocol are written."""
        data = f"_{self.data_name or 'data'}" if self.data is not None else "_changed" if self.changes else ""
        return (Path(self.out).expanduser() if self.out else RunFolder(run).evaluation) / f"{protocol}{data}{self.way}"

    @property
    def way(self) -> str:
        """What names the results where the images are not the network's own."""
        return "_refined" if self.refine else f"_{self.orientations}_orientations" if self.orientations > 1 else ""


@dataclass(frozen=True)
class Done:
    """A protocol that was evaluated, or the reason why not.

    Args:
        protocol: its name.
        scored: its tables.
        out: folder of the results.
        refused: why it was left out; empty where it was not.
    """

    protocol: str
    scored: Sequence[ScoredPlan] = ()
    out: Path | None = None
    refused: str = ""

    def show(self) -> None:
        """Print sentences, tables and notes."""
        if self.refused:
            print(f"Left out: {self.refused}")
            return
        for scored in self.scored:
            show(scored)
            for note in scored.plan.notes:
                print(note)
        print(f"Tables, numbers and pictures: {self.out}")


@dataclass(frozen=True)
class Data:
    """What a network is evaluated on, and the training pairs that the baselines learn from."""

    source: Source
    splits: Mapping[str, Pairs]
    train: Pairs | None
    own: bool = field(default=True)


def evaluate_run(request: Request) -> Iterator[Done]:
    """Evaluate a trained network, protocol by protocol; the results of an earlier evaluation are replaced.

    Raises:
        UserError: if there is no such run, the data do not fit its network, or the only protocol that is asked for
            does not fit the data. Nothing is written then.
    """
    torch.set_float32_matmul_precision("high")  # as in the training
    net = open_trained(Path(str(request.run)), request.device)
    if not request.out:
        refuse_bundled(net.folder.path)
    check_writable(request.folder(net.folder.path, request.protocol))
    data = read_data(net, request)
    objects = _objects() if isinstance(data.source, SimulatedSpeckles) else {}
    subject = Subject(data.source, data.splits, data.own, request.images, request.values, objects)
    scoring = _scoring(net, data, request)
    for name in PROTOCOLS if request.protocol == "all" else [request.protocol]:
        try:
            plans = PROTOCOLS[name](subject)
        except UserError as error:
            if request.protocol != "all":
                raise
            yield Done(name, refused=str(error))
            continue
        yield _evaluated(name, plans, net, scoring, request)


def read_data(net: Trained, request: Request) -> Data:
    """Read what is evaluated on.

    Raises:
        UserError: if frames or objects have another size than those of the training, recorded pairs are not those of
            the training although they should be, they repeat training pairs although they should not, or single
            values of recorded data are changed.
    """
    own = _own_data(net, [])
    if request.data is not None:
        source: Source = build(request.data.source)
        target = build(request.data.preparation).target
    else:
        source = build(_own_data(net, request.changes).source) if request.changes else build(own.source)
        target = net.preparation.target
    if request.data is None and request.changes and not isinstance(source, SimulatedSpeckles):
        raise InvalidValue(
            f"{' '.join(request.changes)}: single values can be changed where spt simulates the data; these are "
            "recorded, and which of their diffusers were trained is not known after a change. Name them with data=…"
        )
    check_sizes(net, source, target)
    splits = read(source, target)
    train = splits.pop("train", None)
    if request.data is not None and source.recorded and train is not None:
        splits[REST] = replace(train, name=REST)
    if not request.own:
        train = _own_train(net, own) if request.baseline_pairs or source.recorded else None
    elif source.recorded:
        _check_same(net, {"train": train, **splits})
    if source.recorded and not request.own and train is not None:
        look = partial(refuse_unusable, preparation=net.preparation)
        check_leaks({"train": train, **splits}, OmegaConf.select(net.config, "leaks") or "error", look)
    return Data(source, splits, train if request.baseline_pairs else None, request.own or _seen(own, source, request))


def _seen(own: DictConfig, source: Source, request: Request) -> bool:
    """Whether the splits of other or changed data show the diffusers that their names say; all are new otherwise.

    Raises:
        UserError: if some diffusers or objects trained where they should not have.
    """
    if not isinstance(source, SimulatedSpeckles):
        return False
    before = build(own.source)
    return isinstance(before, SimulatedSpeckles) and has_trained_diffusers(before, source, request.images)


def _own_data(net: Trained, changes: Sequence[str]) -> DictConfig:
    """The configuration of the run's own data, with single values changed."""
    saved = OmegaConf.load(net.folder.config)
    assert isinstance(saved, DictConfig)
    return trusted(anchored(override(saved, changes), net.folder)).data


def _own_train(net: Trained, config: DictConfig) -> Pairs:
    """The training pairs of the run.

    Raises:
        MissingFile: if they are not there any more.
    """
    try:
        return read(build(config.source), net.preparation.target)["train"]
    except MissingFile as error:
        raise MissingFile(
            f"{error} These are the training pairs of the run: the simple methods learn from them, and recorded data "
            "are compared with them."
        ) from error


def read(source: Source, target: TargetPreparation) -> dict[str, Pairs]:
    """The splits of a source with prepared objects, kept in memory where there is room."""
    source.prepare()
    prepared = {name: with_targets(pairs, target) for name, pairs in source.load().items()}
    return kept(prepared, "auto", cache_folder())


def check_sizes(net: Trained, source: Source, target: TargetPreparation) -> None:
    """Refuse frames or objects of another size than those of the training.

    Raises:
        InvalidValue: naming both sizes.
    """
    sizes = {"frames": (source.frame_size, net.frame_size)}
    sizes["objects, after data.preparation.target,"] = (target.result(source.object_size), net.object_size)
    for what, (there, needed) in sizes.items():
        if tuple(there) != tuple(needed):
            raise InvalidValue(
                f"the data have {what} of {there[0]}x{there[1]} px, but the network was trained on "
                f"{needed[0]}x{needed[1]} px. Choose data of this size. Some sets have a "
                "setting for it: data.source.size or data.source.setup.window."
            )


def _check_same(net: Trained, splits: Mapping[str, Pairs | None]) -> None:
    """Refuse recorded pairs that are no longer those of the training: its objects could be among those of a split.

    Raises:
        InvalidValue: naming the splits.
    """
    before = read_checkpoint(net.folder.best).get("pairs", {})
    other = [name for name, pairs in splits.items() if pairs and before and before.get(name) != pairs.identity]
    if other:
        raise InvalidValue(
            f"the pairs of {', '.join(other)} are not those that the run was trained with: files were added, removed "
            "or renamed. Restore them, or name the data with data=…: then they are compared with the training pairs."
        )


def _scoring(net: Trained, data: Data, request: Request) -> Scoring:
    name, shown = type(net.model).__name__, get_console().is_terminal
    predictor = net.oriented(_predictor(net, request.device), request.orientations)
    if request.orientations > 1:
        name = f"{name}, {request.orientations} orientations"
    if request.refine:
        name, predictor = f"{name}, refined", net.refined(predictor)

    def tracked(things: Iterable[Any]) -> Iterable[Any]:
        return track(list(things), "Evaluating", disable=not shown, transient=True)

    invariant = isinstance(data.source, SimulatedSpeckles) and data.source.setup.shift_invariant
    cache = Path(net.config.cache).expanduser() if OmegaConf.select(net.config, "cache") else cache_folder()
    retrieves = request.phase_retrieval and invariant
    return Scoring(predictor, name, data.train, request.baseline_pairs, cache, retrieves, track=tracked)


def _predictor(net: Trained, device: str) -> Predictor:
    """The network in the precision of its training, so that the scores are those of its validation."""
    kind, trained = torch.device(device).type, str(OmegaConf.select(net.config, "trainer.precision"))
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    if trained == "bf16-mixed":
        precision = partial(torch.autocast, kind, torch.bfloat16)
    if trained == "16-mixed" and kind == "cuda":
        precision = partial(torch.autocast, kind, torch.float16)
    if OmegaConf.select(net.config, "channels_last"):
        net.model.to(memory_format=torch.channels_last)
    batch_size = OmegaConf.select(net.config, "data.batch_size") or 16
    return Predictor(net.model, net.head, net.preparation, batch_size, precision, net.object_size)


def _evaluated(name: str, plans: Sequence[Plan], net: Trained, scoring: Scoring, request: Request) -> Done:
    """Score and write the tables of one protocol.

    Raises:
        InvalidValue: if predictions are not finite, after everything was written.
    """
    scored, out = [score_plan(plan, scoring) for plan in plans], request.folder(net.folder.path, name)
    content, text = write_tables(scored, out, f"{scoring.name} of {net.folder.path}.")
    drawn: dict[str, Path] = {}
    for each in scored:
        drawn |= _pictures(each, out)
    write_event_file(out, OWN, {f"{name}/{tag}": path for tag, path in drawn.items()}, {f"{name}/report": text})
    if request.own and net.folder.metrics.is_file() and not is_bundled(net.folder.path):
        add_protocol(net.folder.metrics, f"{name}{request.way}", content)
    return done(name, scored, out)


def write_tables(scored: Sequence[ScoredPlan], out: Path, heading: str) -> tuple[dict[str, Any], str]:
    """Write the tables of one protocol and remove the pictures of an earlier evaluation; what was written."""
    for earlier in (out / "figures").glob("*.png"):
        earlier.unlink()
    content, text = {each.plan.name: as_json(each) for each in scored}, as_markdown(scored, heading)
    write_json(out / "evaluation.json", content)
    with atomic(out / "report.md") as part:
        part.write_text(text)
    for each in scored:
        write_csv(out / f"{each.plan.name}.csv", each)
    return content, text


def done(name: str, scored: Sequence[ScoredPlan], out: Path) -> Done:
    """What was evaluated, once everything is written.

    Raises:
        InvalidValue: if predictions are not finite.
    """
    faults = [fault for each in scored for fault in each.faults]
    if faults:
        raise InvalidValue("\n".join([*faults, f"Their scores are null in {out / 'evaluation.json'}."]))
    return Done(name, scored, out)


def _pictures(scored: ScoredPlan, out: Path) -> dict[str, Path]:
    """The curve, and of each point the best, the median and the worst images."""
    drawn = {scored.plan.name: save(curve(scored), out / f"{scored.plan.name}.png")} if scored.plan.axis else {}
    for (number, kind), result in scored.results.items():
        point, alone = scored.plan.points[number], not scored.plan.axis
        name = point.label if len(point.pairs) == 1 else f"{point.label}_{kind}"
        name = re.sub(r"[^\w.-]+", "_", name if alone else f"{scored.plan.name}_{name}")
        drawn |= draw(out / "figures", scored.network, point.pairs[kind], result, name, reliability=alone)
    return drawn


def _objects() -> dict[str, object]:
    """Name to objects: every family of `configs/objects` that needs no further setting."""
    files = {path.stem: OmegaConf.load(path) for path in sorted((CONFIGS / "objects").glob("*.yaml"))}
    return {
        name: build(node)  # type: ignore[arg-type]
        for name, node in files.items()
        if name != "folder" and "_target_" in node and "defaults" not in node  # that changes another family
    }


def _check_values(values: Any) -> None:
    """Refuse what is no list of positive numbers.

    Raises:
        InvalidType: naming what is allowed.
    """
    numbers = isinstance(values, list) and len(values) > 0
    if not numbers or not all(type(v) in (int, float) and 0 < v < LARGEST for v in values):
        raise InvalidType(
            f"values must be a list of positive numbers below {LARGEST:g}, such as [0.5e-3,1e-3], got {values!r}."
        )
