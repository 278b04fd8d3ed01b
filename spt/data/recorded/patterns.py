"""Patterns of file names, such as ``{diffuser}/train/{number}.tif``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spt.data.files.names import split_key
from spt.data.recorded.naming import Candidate
from spt.errors import InvalidValue

FIELDS = {
    "number": r"\d+",
    "name": r"[^/]+?",
    "diffuser": r"[^/]+?",
    "split": r"[^/]+?",
    "class": r"[^/]+?",
    "distance": r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?",
    "frame": r"\d+",
}
"""What may stand in braces, and what it matches. ``number`` and ``name`` say which speckle belongs to which target."""

UNITS = {"mm": 1e-3, "cm": 1e-2, "um": 1e-6, "m": 1.0}
"""Units that may follow ``{distance}``; without one it is in metres."""


@dataclass(frozen=True)
class Pattern:
    """A setting that names files.

    Args:
        text: a path with ``{fields}``, ``*`` (anything but a folder's end), ``**`` (any folders) and ``?``, and behind
            a colon the name of the array in each file. At its end ``[number-1]`` or ``[number]`` says that the image
            of a speckle's number lies there in one file of all targets, counted from 0.
        setting: dotted name of the setting, for messages.
    Raises:
        InvalidValue: if a field is unknown or stands there twice.
    """

    text: str
    setting: str

    def __post_init__(self) -> None:
        fields = re.findall(r"\{([^}]*)\}", self.text)
        for name in fields:
            if name not in FIELDS:
                raise InvalidValue(
                    f"{self.setting}={self.text}: unknown field {{{name}}}. Known are "
                    f"{', '.join(f'{{{field}}}' for field in FIELDS)}; * stands for anything."
                )
        if len(set(fields)) < len(fields):
            raise InvalidValue(f"{self.setting}={self.text}: a field may stand there once; use * for the others.")

    @property
    def shift(self) -> int | None:
        """What is added to a speckle's number to find its target in the one file of all targets."""
        found = re.search(r"\[number([+-]\d+)?\]$", self.text)
        return int(found[1] or 0) if found else None

    @property
    def file(self) -> tuple[Path, str | None]:
        """The path and the name of the array."""
        return split_key(re.sub(r"\[number([+-]\d+)?\]$", "", self.text))

    def split(self, root: Path) -> tuple[Path, str]:
        """The folder in which nothing is left open, and the rest."""
        parts = (root / self.file[0].expanduser()).parts
        free = next((k for k, part in enumerate(parts) if re.search(r"[{*?]", part)), len(parts) - 1)
        return Path(*parts[:free]), "/".join(parts[free:])

    def candidate(self, path: Path, rest: str, pattern: re.Pattern[str], side: str) -> Candidate | None:
        """What a file is by this pattern; None where its name does not match."""
        found = pattern.fullmatch(rest)
        if found is None:
            return None
        fields = found.groupdict()
        distance = float(fields["distance"]) * self._unit if fields.get("distance") else None
        return Candidate(
            path,
            self.file[1],
            fields.get("name") or fields.get("number") or path.stem,
            side,
            fields.get("split"),
            fields.get("diffuser") or "",
            distance,
            fields.get("class_"),
            fields.get("frame"),
        )

    @property
    def _unit(self) -> float:
        found = re.search(r"\{distance\}([a-z]+)", self.text)
        return UNITS.get(found[1], 1.0) if found else 1.0


def expression(rest: str) -> re.Pattern[str]:
    """A pattern as a regular expression over relative paths with ``/``."""
    return re.compile("".join(_translated(rest)))


def _translated(rest: str) -> Iterator[str]:
    for part in re.findall(r"\*\*/|\*\*|\*|\?|\{[a-z]+\}|[^*?{]+|\{", rest):
        if part in ("**/", "**"):
            yield r"(?:.*/)?" if part == "**/" else ".*"
        elif part == "*":
            yield r"[^/]*"
        elif part == "?":
            yield r"[^/]"
        elif part[1:-1] in FIELDS:
            name = part[1:-1]
            yield f"(?P<{'class_' if name == 'class' else name}>{FIELDS[name]})"
        else:
            yield re.escape(part)
