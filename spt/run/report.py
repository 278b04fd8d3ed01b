"""The verb report: one HTML page on finished runs."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from spt import __version__
from spt.errors import InvalidValue
from spt.evaluation.compare.comparison import compare, without_hash
from spt.evaluation.report.page import RunFiles, render, section
from spt.evaluation.run_record import RunRecord
from spt.files import atomic, check_writable
from spt.run.environment import read_starts
from spt.run.folder import RunFolder
from spt.run.records import find_records, plain


@dataclass(frozen=True)
class Reported:
    """Where the page is, how many runs it shows, and one line for each run that is left out."""

    out: Path
    runs: int
    problems: list[str] = field(default_factory=list)


def report(paths: Sequence[Path], out: Path) -> Reported:
    """Write a page on the runs in and below some folders; an earlier page is replaced.

    Args:
        paths: run folders, or folders of runs.
        out: the page, which ends in ``.html``.
    Raises:
        UserError: if there is no finished run, or ``out`` has another ending; nothing is written then.
    """
    if out.suffix != ".html":
        raise InvalidValue(f"out={out} must end in .html.")
    check_writable(out.parent)
    found = find_records(paths)
    shown, sections, problems = [], [], list(found.problems)
    for record in found.records:
        try:
            sections.append(section(record, read_files(record)))
            shown.append(record)
        except InvalidValue as error:
            problems.append(str(error))
    if not shown:
        raise InvalidValue(" ".join(problems))
    apart = without_hash(shown)
    known = [record for record in shown if record not in apart]
    compared = compare(known, ["pcc"]) if len(known) > 1 else []
    made = f"Written by spt {__version__} on {time.strftime('%Y-%m-%d %H:%M')}."
    with atomic(out) as part:
        part.write_text(render(sections, compared, made), encoding="utf-8")
    return Reported(out, len(sections), problems)


def read_files(record: RunRecord) -> RunFiles:
    """What of a run folder the page shows; what is missing there is left out of the page.

    Raises:
        InvalidValue: if a file is damaged.
    """
    folder = RunFolder(record.path)
    chosen = map(str, plain(folder.overrides)) if folder.overrides.is_file() else None
    return RunFiles(
        pictures={path.stem: _picture(path) for path in sorted(folder.figures.glob("*.png"))},
        evaluations={path.stem: _picture(path) for path in sorted(folder.evaluation.glob("*/*.png"))},
        history=_history(folder.history) if folder.history.is_file() else [],
        starts=read_starts(folder),
        command=None if chosen is None else [text for text in chosen if not text.startswith("hydra.")],
        config=folder.config.read_text(encoding="utf-8") if folder.config.is_file() else "",
    )


def _picture(path: Path) -> Path:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError) as error:
        raise InvalidValue(f"{path} is damaged ({error}). Remove it, or restore it.") from error
    return path


def _history(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidValue(f"{path} is damaged ({error}). Remove it, or restore it.") from error
