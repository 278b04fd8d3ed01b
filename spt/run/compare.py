"""The verb compare: from run folders to tables and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spt.errors import InvalidValue
from spt.evaluation.compare.comparison import Comparison, compare, without_hash
from spt.evaluation.compare.figure import comparison_figure
from spt.evaluation.compare.formats import as_csv, as_latex, as_markdown
from spt.evaluation.pictures import save
from spt.files import atomic, check_writable
from spt.run.records import find_records

FORMATS: dict[str, Callable[[Sequence[Comparison]], str]] = {"markdown": as_markdown, "csv": as_csv, "latex": as_latex}
"""Name to what writes the tables as text."""

FILES = {"markdown": "compare.md", "csv": "compare.csv", "latex": "compare.tex"}

COMPARED = ("pcc", "ssim", "ji")
"""Metrics that are compared unless others are asked for."""


@dataclass(frozen=True)
class Compared:
    """Tables, the files that were written, and one line for each run that is left out."""

    tables: list[Comparison]
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare_runs(paths: Sequence[Path], metrics: Sequence[str] = COMPARED, out: Path | None = None) -> Compared:
    """Compare the runs in and below some folders.

    Args:
        paths: run folders, or folders of runs.
        metrics: that the tables show.
        out: folder for Markdown, CSV, LaTeX and figures; None writes nothing.
    Raises:
        UserError: if there is nothing to compare; nothing is written then.
    """
    if out is not None:
        check_writable(out.expanduser())
    found = find_records(paths)
    apart = without_hash(found.records)
    problems = [*found.problems, *(_without_hash(record.path) for record in apart)]
    tables = compare(found.records, metrics)
    if not tables:
        raise InvalidValue("nothing can be compared. " + " ".join(problems))
    return Compared(tables, [] if out is None else _write(tables, metrics[0], out.expanduser()), problems)


def _without_hash(path: Path) -> str:
    return (
        f"{path}: its metrics.json does not say on which images it was scored, as before version 0.3. Score it again "
        f"with python train.py run={path}, or train it again."
    )


def _write(tables: Sequence[Comparison], metric: str, out: Path) -> list[Path]:
    written = []
    for name, file in FILES.items():
        with atomic(out / file) as part:
            part.write_text(FORMATS[name](tables).rstrip("\n") + "\n", encoding="utf-8")
        written.append(out / file)
    for number, table in enumerate(tables, start=1):
        name = "compare.png" if len(tables) == 1 else f"compare_{number}.png"
        written.append(save(comparison_figure(table, metric), out / name))
    return written
