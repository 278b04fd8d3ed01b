"""A table of pairs as a CSV file that a person can correct in a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

from spt.data.files.names import split_key
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.table import Image, Table
from spt.errors import InvalidValue, MissingFile

COLUMNS = (
    "speckle",
    "target",
    "speckle_frame",
    "target_frame",
    "diffuser",
    "distance",
    "object",
    "class",
    "split",
)
"""Columns of a manifest; the first two are needed."""


def write_manifest(path: Path, table: Table) -> None:
    """Write every pair on a line of its own; files below the manifest's folder by their relative path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in table.rows:
            frames = ["" if image.row is None else image.row for image in (row.speckle, row.target)]
            names = [_relative(image, path.parent) for image in (row.speckle, row.target)]
            known = [row.distance, row.object, row.label, row.split]
            writer.writerow([*names, *frames, row.diffuser_name, *("" if value is None else value for value in known)])


def read_manifest(path: Path) -> list[FilePair]:
    """Read the pairs of a manifest, as spreadsheets write them too.

    The separator is a comma, a semicolon or a tab. A distance may have a decimal comma between semicolons. Columns
    whose name begins with ``#`` are for notes. Relative paths begin at the manifest's folder.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if a column is missing or unknown, or a value is wrong; the line is named.
    """
    lines, separator = _lines(path)
    header = [name.strip().lower() for name in lines[0][1]]
    _check_header(path, header, [line for _, line in lines[1:]])
    pairs = [
        _pair(path, number, _named(path, number, header, line), separator)
        for number, line in lines[1:]
        if any(cell.strip() for cell in line)
    ]
    if not pairs:
        raise InvalidValue(f"{path} lists no pairs below its header.")
    return pairs


def _lines(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Number and cells of each line, from the header on, and the separator."""
    if not path.is_file():
        raise MissingFile(f"{path} is not there. Check data.source.manifest.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{path} is not UTF-8 text. Save it from the spreadsheet as 'CSV UTF-8'.") from error
    first, separator = 1, None
    if text.lower().startswith("sep="):  # what Excel writes to remember its separator
        line, _, text = text.partition("\n")
        first, separator = 2, line.strip()[4:5]
    header = text.lstrip().partition("\n")[0]
    if separator is None:
        separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        cells = [(reader.line_num + first - 1, line) for line in reader]
    except csv.Error as error:
        raise InvalidValue(f"{path}, line {reader.line_num + first - 1}: {error}.") from error
    while cells and not any(cell.strip() for cell in cells[0][1]):
        cells.pop(0)
    if not cells:
        raise InvalidValue(f"{path} is empty. Its first line names the columns: {', '.join(COLUMNS)}.")
    return cells, separator


def _check_header(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    for name in COLUMNS[:2]:
        if name not in header:
            raise InvalidValue(
                f"{path} has no column {name!r}, only {', '.join(filter(None, header))}. The first line names the "
                f"columns: {', '.join(COLUMNS)}; speckle and target are needed."
            )
    for place, name in enumerate(header):
        empty = not name and not any(line[place].strip() for line in lines if place < len(line))
        if name not in COLUMNS and not name.startswith("#") and not empty:
            raise InvalidValue(
                f"{path}: unknown column {name!r}. The columns are {', '.join(COLUMNS)}; begin the name of a column of "
                "notes with #."
            )
        if name in header[:place] and name in COLUMNS:
            raise InvalidValue(f"{path} has the column {name!r} twice.")


def _named(path: Path, number: int, header: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    if any(cell.strip() for cell in line[len(header) :]):
        raise InvalidValue(
            f"{path}, line {number}: {len(line)} values, but the header names {len(header)} columns. Put a file name "
            "that contains the separator in quotes."
        )
    return {name: cell.strip() for name, cell in zip(header, line, strict=False) if name in COLUMNS}


def _pair(path: Path, number: int, cells: dict[str, str], separator: str) -> FilePair:
    where = f"{path}, line {number}"
    speckle, target = (_image(where, path.parent, cells, side) for side in ("speckle", "target"))
    distance = cells.get("distance", "")
    return FilePair(
        speckle,
        target,
        cells.get("diffuser", ""),
        _number(where, "distance", distance.replace(",", ".") if separator == ";" else distance),
        cells.get("object") or None,
        cells.get("class") or None,
        cells.get("split") or None,
    )


def _image(where: str, folder: Path, cells: dict[str, str], side: str) -> Image:
    if not cells.get(side):
        raise InvalidValue(f"{where}: the column {side!r} is empty. Name a file, or remove the line.")
    path, key = split_key(cells[side])
    path = folder / path.expanduser()
    if not path.is_file():
        raise MissingFile(f"{where}: {path} is not there.")
    frame = _number(where, f"{side}_frame", cells.get(f"{side}_frame", ""))
    if frame is not None and (frame < 0 or frame != int(frame)):
        raise InvalidValue(f"{where}: {side}_frame must be a whole number from 0, got {frame:g}.")
    return Image(path, key, None if frame is None else int(frame))


def _number(where: str, column: str, cell: str) -> float | None:
    if not cell:
        return None
    try:
        number = float(cell)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise InvalidValue(f"{where}: {column} must be a number, got {cell!r}.")
    return number


def _relative(image: Image, folder: Path) -> str:
    path, folder = image.path.absolute(), folder.absolute()
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return name if image.key is None else f"{name}:{image.key}"
