"""A table of pairs as a CSV file that a person can correct in a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path

from spt.data.files.names import split_key
from spt.data.recorded.numbering import FilePair
from spt.data.recorded.skipped import Skipped
from spt.data.recorded.table import Image, Table, counted
from spt.data.recorded.unpaired import Fault, Side, Unpaired
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
SIDES: tuple[Side, Side] = ("speckle", "target")
NOTHING = Skipped()


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


def read_manifest(path: Path, skipped: Skipped = NOTHING) -> list[FilePair]:
    """Read the pairs of a manifest, as spreadsheets write them too.

    The separator is a comma, a semicolon or a tab. A distance may have a decimal comma between semicolons. Columns
    whose name begins with ``#`` are for notes. Relative paths begin at the manifest's folder.

    Args:
        path: the manifest.
        skipped: files that need not be there.
    Raises:
        MissingFile: if there is no such manifest.
        InvalidValue: if a column is missing or unknown, or a value is wrong; the line is named.
        Unpaired: if a line names one file only, or a file that is not there.
    """
    lines, separator = _lines(path)
    header = [name.strip().lower() for name in lines[0][1]]
    _check_header(path, header, [line for _, line in lines[1:]])
    cells = [(number, _named(path, number, header, line)) for number, line in lines[1:] if any(map(str.strip, line))]
    if not cells:
        raise InvalidValue(f"{path} lists no pairs below its header.")
    pairs: list[FilePair] = []
    faults: dict[tuple[Side, str], Fault] = {}
    messages: list[str] = []
    for number, line in cells:
        where = f"{path}, line {number}"
        speckle, target = (_image(where, path.parent, line, side) for side in SIDES)
        if speckle is None and target is None:
            raise InvalidValue(f"{where}: 'speckle' and 'target' are empty. Name the files, or remove the line.")
        left_out = any(image is not None and skipped.holds(image) for image in (speckle, target))
        wrong = [] if left_out else list(_faults(where, speckle, target))
        for fault, message in wrong:
            if faults.setdefault((fault.side, fault.image.file), fault) is fault:
                messages.append(message)
        if speckle is not None and target is not None and not wrong:
            pairs.append(_pair(where, speckle, target, line, separator))
    if faults:
        more = f" {counted(len(faults) - 1, 'other file')} cannot be paired either." if len(faults) > 1 else ""
        raise Unpaired(messages[0] + more, list(faults.values()), pairs, [f"Pairs as listed in {path}."])
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


def _image(where: str, folder: Path, cells: dict[str, str], side: Side) -> Image | None:
    frame = _number(where, f"{side}_frame", cells.get(f"{side}_frame", ""))
    if frame is not None and (frame < 0 or frame != int(frame)):
        raise InvalidValue(f"{where}: {side}_frame must be a whole number from 0, got {frame:g}.")
    if not cells.get(side):
        return None
    path, key = split_key(cells[side])
    return Image(folder / path.expanduser(), key, None if frame is None else int(frame))


def _faults(where: str, speckle: Image | None, target: Image | None) -> Iterator[tuple[Fault, str]]:
    """What keeps a line from being a pair, as a fault and as a message."""
    both = dict(zip(SIDES, (speckle, target), strict=True))
    missing = {side: image for side, image in both.items() if image is not None and not image.path.is_file()}
    for side, image in missing.items():
        fault = Fault(side, replace(image, row=None), f"is not there; named in {where}")
        yield fault, f"{where}: {image.path} is not there."
    for side, other in (SIDES, SIDES[::-1]):
        alone = both[side]
        if alone is not None and side not in missing and both[other] is None:
            message = f"{where}: the column {other!r} is empty. Name a file, or remove the line."
            yield Fault(side, alone, f"has no {other} in {where}"), message


def _pair(where: str, speckle: Image, target: Image, cells: dict[str, str], separator: str) -> FilePair:
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
