"""Bad images: which, why, and how they are shown and listed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spt.data.recorded.table import Image

Side = Literal["speckle", "target"]
Name: TypeAlias = Image | str
"""An image in a file; or, in a set that is not listed by files, what messages call it."""

SHOWN = 100
"""Lines of the printed table."""
NUMBERS = 6
"""Images of one file that a line names."""
WIDTH = 100
"""Of a table that is not printed to a terminal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A bad image, or a bad file.

    Args:
        side: what it should be.
        name: which it is.
        problem: what is wrong.
    """

    side: Side
    name: Name
    problem: str


def reason(error: Exception, file: str) -> str:
    """What an error says, without the name of the file."""
    return str(error).removeprefix(file).replace(f" {file!r}", "").lstrip(" :,")


def print_bad(findings: Sequence[Finding], folder: Path | None = None) -> None:
    """Print one table of all findings; equal ones of one file share a line.

    Args:
        findings: what was found.
        folder: files below it are shown by their relative path.
    """
    lines = _lines(findings)
    shown = Table(title=f"Bad files ({len(lines)})", title_justify="left")
    for column in ("side", "file", "problem"):
        shown.add_column(column, overflow="fold")
    for (side, file, problem), rows in list(lines.items())[:SHOWN]:
        where = _below(file, folder) + _numbered(rows)
        shown.add_row(side, Text(where), Text(problem.replace(f"{folder}/", "") if folder else problem))
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(shown)
    if len(lines) > SHOWN:
        print(f"{len(lines) - SHOWN:,} more are not shown; out=<file> lists all of them.")


def _lines(findings: Sequence[Finding]) -> Mapping[tuple[str, str, str], list[int]]:
    lines: dict[tuple[str, str, str], list[int]] = {}
    for finding in findings:
        file = finding.name if isinstance(finding.name, str) else finding.name.file
        rows = lines.setdefault((finding.side, file, finding.problem), [])
        if isinstance(finding.name, Image) and finding.name.row is not None:
            rows.append(finding.name.row)
    return lines


def _below(file: str, folder: Path | None) -> str:
    return re.sub(rf"^{re.escape(str(folder))}/", "", file) if folder else file


def _numbered(rows: Sequence[int]) -> str:
    if not rows:
        return ""
    more = f" and {len(rows) - NUMBERS:,} more" if len(rows) > NUMBERS else ""
    return f", image{'s' if len(rows) > 1 else ''} " + ", ".join(map(str, rows[:NUMBERS])) + more
