"""A table with what has to be said below it: printed, and written as Markdown, CSV and JSON."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from spt.files import atomic

Row = dict[str, Any]

WORDS = {"table", "network", "model", "remark", "quantity", "module", "not counted", "built as", "data type", "mode"}
BLOCKS = {"table", "network"}

KINDS = ("quantity", "data type", "mode", "threads", "batch")
"""Columns that say what a row of a network is, where it has several."""


@dataclass(frozen=True)
class Sheet:
    """One table.

    Args:
        name: of its CSV file.
        title: above it.
        rows: column -> value, the same columns in every row; floats are shown with six digits.
        notes: lines below it.
    """

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)

    def cells(self) -> list[list[str]]:
        """Header and rows as text."""
        return [list(self.rows[0]), *([shown(value) for value in row.values()] for row in self.rows)]


def shown(value: Any) -> str:
    """Return a value as a table shows it; None is blank."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def show(sheet: Sheet, console: Console) -> None:
    """Print one sheet; a rule stands wherever the network changes."""
    table = Table(title=sheet.title, title_justify="left", caption="\n".join(sheet.notes), caption_justify="left")
    header, *body = sheet.cells()
    for name in header:
        justify: Literal["left", "right"] = "left" if name in WORDS else "right"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in {*BLOCKS, "model", "built as"})
    for k, line in enumerate(body):
        if k and header[0] in BLOCKS and line[0] != body[k - 1][0]:
            table.add_section()
        table.add_row(*line)
    console.print(table)


def write(sheets: Sequence[Sheet], folder: Path, stem: str, command: str, markdown: Callable[[Any], str]) -> list[Path]:
    """Write ``<stem>.md``, ``<stem>.json`` and a CSV file per sheet.

    Args:
        sheets: the tables.
        folder: made where it is missing.
        stem: name of the common files.
        command: what made them, with the hardware.
        markdown: turns header and rows into a Markdown table.
    Returns:
        The files.
    """
    texts = [f"## {s.title}\n\n{markdown(s.cells())}\n\n" + "\n\n".join(s.notes) for s in sheets]
    files = {
        folder / f"{stem}.md": f"`{command}`\n\n" + "\n\n".join(text.strip() for text in texts) + "\n",
        folder / f"{stem}.json": json.dumps(
            {"command": command, **{s.name: {"rows": s.rows, "notes": s.notes} for s in sheets}},
            indent=1,
            ensure_ascii=False,
            default=str,
        ),
    }
    for path, text in files.items():
        with atomic(path) as part:
            part.write_text(text)
    for sheet in sheets:
        with atomic(folder / f"{sheet.name}.csv") as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(sheet.rows[0]))
            writer.writeheader()
            writer.writerows(sheet.rows)
    return [*files, *(folder / f"{sheet.name}.csv" for sheet in sheets)]


def to_tensorboard(sheets: Sequence[Sheet], folder: Path, markdown: Callable[[Any], str]) -> None:
    """Write every sheet as text, and the numbers of every network and size as hparams."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for sheet in sheets:
            writer.add_text(sheet.name, markdown(sheet.cells()) + "\n\n" + "\n\n".join(sheet.notes))
        for (network, px), numbers in _numbers(sheets).items():
            writer.add_hparams({"network": network, "px": px}, numbers, run_name=f"{network}_{px}")


def _numbers(sheets: Iterable[Sheet]) -> dict[tuple[str, int], dict[str, float]]:
    """Every number of a network at a size under ``sheet/kind of row/column``."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for sheet in sheets:
        for row in sheet.rows:
            if {"network", "px"} <= row.keys():
                numbers = found.setdefault((row["network"], row["px"]), {})
                kind = [str(row[key]) for key in KINDS if key in row]
                values = {k: v for k, v in row.items() if isinstance(v, int | float) and k not in ("px", *KINDS)}
                numbers |= {"/".join([sheet.name, *kind, key]): float(v) for key, v in values.items()}
    return found
