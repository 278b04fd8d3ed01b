"""A table with the notes below it: printed, and written as Markdown, CSV, JSON and TensorBoard."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spt.files import atomic

Row = dict[str, Any]

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
        side: Any = "left" if any(isinstance(row[name], str) for row in sheet.rows) else "right"
        table.add_column(name, justify=side, overflow="fold", no_wrap=name in ("table", "network", "model", "built as"))
    for k, line in enumerate(body):
        if k and header[0] in ("table", "network") and line[0] != body[k - 1][0]:
            table.add_section()
        table.add_row(*line)
    console.print(table)


def write(sheets: Sequence[Sheet], folder: Path, stem: str, command: str, markdown: Callable[[Any], str]) -> list[Path]:
    """Write ``<stem>.md``, ``<stem>.json``, a CSV file per sheet, and TensorBoard's text and hparams.

    Args:
        sheets: the tables.
        folder: made where it is missing.
        stem: name of the common files.
        command: what made them, with the hardware.
        markdown: turns header and rows into a Markdown table.
    Returns:
        The files, and the folder for TensorBoard.
    """
    texts = [f"## {s.title}\n\n{markdown(s.cells())}\n\n" + "\n\n".join(s.notes) for s in sheets]
    content = {"command": command, **{s.name: {"rows": s.rows, "notes": s.notes} for s in sheets}}
    files = {
        folder / f"{stem}.md": f"`{command}`\n\n" + "\n\n".join(text.strip() for text in texts) + "\n",
        folder / f"{stem}.json": json.dumps(content, indent=1, ensure_ascii=False, default=str),
    }
    for path, text in files.items():
        with atomic(path) as part:
            part.write_text(text)
    for sheet in sheets:
        with atomic(folder / f"{sheet.name}.csv") as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(sheet.rows[0]))
            writer.writeheader()
            writer.writerows(sheet.rows)
    _to_tensorboard(sheets, texts, folder / "tensorboard" / stem)
    return [*files, *(folder / f"{sheet.name}.csv" for sheet in sheets), folder / "tensorboard"]


def _to_tensorboard(sheets: Sequence[Sheet], texts: Sequence[str], folder: Path) -> None:
    """Every sheet as text, and every number of a network at a size as ``sheet/kind of row/column``."""
    from torch.utils.tensorboard import SummaryWriter

    found: dict[tuple[str, int], dict[str, float]] = {}
    for sheet in sheets:
        for row in sheet.rows:
            if {"network", "px"} <= row.keys():
                kind = [str(row[key]) for key in KINDS if key in row]
                values = {k: v for k, v in row.items() if isinstance(v, int | float) and k not in ("px", *KINDS)}
                numbers = found.setdefault((row["network"], row["px"]), {})
                numbers |= {"/".join([sheet.name, *kind, key]): float(v) for key, v in values.items()}
    with SummaryWriter(str(folder)) as writer:
        for sheet, text in zip(sheets, texts, strict=True):
            writer.add_text(sheet.name, text)
        for (network, px), numbers in found.items():
            writer.add_hparams({"network": network, "px": px}, numbers, run_name=f"{network}_{px}")
