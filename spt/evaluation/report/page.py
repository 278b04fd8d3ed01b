"""What the page says of each run, and the page itself."""

import base64
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from spt.evaluation.compare.comparison import Comparison
from spt.evaluation.compare.figure import comparison_figure
from spt.evaluation.compare.formats import texts
from spt.evaluation.headline import headline
from spt.evaluation.report.curves import Rows, curves
from spt.evaluation.run_record import RunRecord
from spt.evaluation.score_table import CAPTION, MAIN, counts, rows


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Args:
        source: a data URI.
        alt: what is seen, for whoever cannot see it.
        caption: below it.
    """

    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Cells as text; a row whose number is in ``bold`` is set in bold."""

    header: list[str]
    rows: list[list[str]]
    bold: tuple[int, ...] = ()


@dataclass(frozen=True)
class RunFiles:
    """What of a run folder the page shows beside its record.

    Args:
        pictures: name to file of its figures.
        evaluations: name to file of the curves that ``evaluate.py`` drew.
        history: one row an epoch.
        starts: its entries of ``environment.json``.
        command: the overrides that it was started with; None where they are not known.
        config: its configuration as it was written, YAML.
    """

    pictures: Mapping[str, Path]
    evaluations: Mapping[str, Path]
    history: Rows
    starts: Sequence[Mapping[str, Any]]
    command: Sequence[str] | None
    config: str


@dataclass(frozen=True)
class Section:
    """The page on one run."""

    name: str
    folder: str
    result: str
    main: Table
    others: Table
    pictures: list[Picture]
    calibration: list[Picture]
    curves: Picture | None
    evaluations: list[Picture]
    data: list[tuple[str, str]]
    cost: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    command: str
    config: str


def render(sections: Sequence[Section], compared: Sequence[Comparison], made: str) -> str:
    """The whole page.

    Args:
        sections: one a run.
        compared: the runs beside each other; empty for one run.
        made: when, and by which version.
    """
    environment = Environment(
        loader=PackageLoader("spt.evaluation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        sections=sections, comparisons=[_beside(table) for table in compared], caption=CAPTION, made=made
    )


def section(record: RunRecord, files: RunFiles) -> Section:
    """What the page says of a run."""
    facts, network = record.facts, str(record.facts["network"])
    lines = list(rows(network, record.scores, record.baselines))
    header = ["metric", "method", *(f"{split}: {', '.join(counts(each))}" for split, each in record.scores.items())]
    main = [line for line in lines if line[0].lower() in MAIN]
    others = [line for line in lines if line[0].lower() not in MAIN]
    drawn = curves(files.history)
    return Section(
        name=record.name,
        folder=str(record.path),
        result=headline(record.scores, record.baselines),
        main=_table(header, main, network),
        others=_table(header, others, network),
        pictures=[
            _file(
                files.pictures[split], f"Best, median and worst images of {split}: speckle, prediction, truth, error."
            )
            for split in record.scores
            if split in files.pictures
        ],
        calibration=[
            _file(files.pictures[f"{split}_reliability"], f"Predicted and observed share of lit pixels, {split}.")
            for split in record.scores
            if f"{split}_reliability" in files.pictures
        ],
        curves=Picture(_lines(drawn), "Training loss and PCC over the epochs.", _CURVES) if drawn else None,
        evaluations=[
            _file(path, f"PCC of the network and of the simple methods, protocol={name}.")
            for name, path in files.evaluations.items()
        ],
        data=_data(record),
        cost=_cost(facts),
        environment=_environment(files.starts),
        command=_command(files.command),
        config=files.config,
    )


_CURVES = "Training loss, and the PCC of the splits that were watched. val_seen chooses the epoch."


def _data(record: RunRecord) -> list[tuple[str, str]]:
    data = record.data
    known = [("source", data.get("source")), ("from frame to input", data.get("preparation"))]
    for name, size in (("frames", "frame_size"), ("input", "input_size"), ("images", "object_size")):
        if data.get(size):
            known.append((name, "{}x{} px".format(*data[size])))
    for split, each in (data.get("splits") or {}).items():
        words = [
            f"{each[key]} {word if each[key] == 1 else word + 's'}"
            for key, word in (("n", "pair"), ("diffusers", "diffuser"), ("objects", "object"))
            if each.get(key)
        ]
        known.append((split, ", ".join(words)))
    settings = {name: value for name, value in record.settings.items() if name.startswith(_OPTICS)}
    known += [(name.removeprefix("data.source."), str(value)) for name, value in settings.items()]
    return [(name, str(value)) for name, value in known if value]


_OPTICS = ("data.source.setup.", "data.source.camera.")
"""Settings of a simulated set that a reader of optics asks for first."""


def _cost(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = {
        "network": facts.get("network"),
        "parameters": f"{facts['parameters']:,}" if "parameters" in facts else None,
        "epochs": facts.get("epochs"),
        "training and evaluation of the network": _duration(facts.get("seconds")),
        "simple methods": _duration(facts.get("baseline_seconds")),
        "speed": f"{facts['samples_per_second']:.0f} images/s" if facts.get("samples_per_second") else None,
        "device": facts.get("device"),
        "precision": facts.get("precision"),
    }
    return [(name, str(value)) for name, value in known.items() if value is not None]


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _environment(starts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Of the last start; how many there were."""
    if not starts:
        return []
    last = dict(starts[-1])
    packages, git = last.pop("packages", {}), last.pop("git", None)
    for name in ("arguments", "configuration"):
        last.pop(name, None)
    known = {"starts of this run": len(starts), **last}
    if git:
        known["git revision"] = f"{git.get('commit')}{', with changed files' if git.get('changed') else ''}"
    known["packages"] = ", ".join(f"{name} {number}" for name, number in packages.items())
    return [(name, str(value)) for name, value in known.items() if value not in (None, "")]


def _command(overrides: Sequence[str] | None) -> str:
    if overrides is None:
        return "The command is not known: the run folder has no .hydra/overrides.yaml."
    return shlex.join(["python", "train.py", *overrides])


def _table(header: list[str], lines: list[list[str]], network: str) -> Table:
    bold = tuple(k for k, line in enumerate(lines) if line[1] == network)
    firsts = {line[0]: k for k, line in reversed(list(enumerate(lines)))}  # a metric is named in its first row
    return Table(header, [[line[0] if firsts[line[0]] == k else "", *line[1:]] for k, line in enumerate(lines)], bold)


def _beside(table: Comparison) -> dict[str, Any]:
    header, *lines = texts(table, lambda text: f"\0{text}")
    metric = table.columns[0][0].upper()
    said = f"{metric} of each configuration and split. The dashed line is the best simple method."
    figure = Picture(_picture(comparison_figure(table, table.columns[0][0])), f"The table above, drawn: {said}", said)
    return {"title": table.title, "header": header, "rows": lines, "caption": table.caption, "figure": figure}


def _file(path: Path, caption: str) -> Picture:
    return Picture(_inline("png", path.read_bytes()), caption, caption)


def _picture(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return _inline("png", file.getvalue())


def _lines(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return _inline("svg+xml", file.getvalue())


def _inline(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
