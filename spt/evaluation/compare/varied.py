"""Which settings differ between runs: the columns of a comparison."""

from collections.abc import Sequence

from spt.evaluation.run_record import RunRecord

FIRST = ("model", "loss", "data")
"""Folders of `configs/` that people compare by; their columns stand first."""

SIDE_FOLDERS = ("trainer", "callbacks", "logger", "experiment")
"""Folders whose choice decides no score by itself; what their files set is compared value by value."""

LEFT_OUT = (
    "seed",
    "run",
    "leaks",
    "baseline_pairs",
    "cache",
    "callbacks",
    "logger",
    "data.seed",
    "data.cache",
    "data.workers",
    "data.source.cache",
    "data.source.device",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.log_every_n_steps",
    "trainer.enable_model_summary",
)
"""Settings that say where a run worked and what it logged. Seeds are what the spread is over."""

NONE = "–"
"""Stands where a run has no such setting."""


def varied(records: Sequence[RunRecord]) -> list[str]:
    """Names of what differs: folders of `configs/`, then single settings.

    A setting counts where it differs between runs that chose the same file: two networks differ in more than a table
    can show, and their names say so.
    """
    folders = _folders(records)
    differing = [folder for folder in folders if len({value(record, folder) for record in records}) > 1]
    if _follows(records, "head", "loss"):
        differing = [folder for folder in differing if folder != "head"]
    differing.sort(key=lambda folder: FIRST.index(folder) if folder in FIRST else len(FIRST))
    names = dict.fromkeys(name for record in records for name in record.settings)
    return differing + [name for name in names if is_compared(name) and _differs(records, name, folders)]


def value(record: RunRecord, name: str) -> str:
    """What a run has for a folder or a setting, as a table shows it."""
    if name in record.choices:
        return record.choices[name]
    found = record.settings.get(name, record.settings.get(f"{name}._target_", NONE))
    return str(found).rpartition(".")[2] if name not in record.settings and found != NONE else _shown(found)


def _shown(setting: object) -> str:
    if setting is None or isinstance(setting, bool):
        return "null" if setting is None else str(setting).lower()
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def _folders(records: Sequence[RunRecord]) -> list[str]:
    """Folders that any run chose a file of; the first three also where Hydra recorded no choice."""
    chosen = dict.fromkeys([*FIRST, *(folder for record in records for folder in record.choices)])
    return [folder for folder in chosen if folder not in SIDE_FOLDERS]


def is_compared(name: str) -> bool:
    """Whether runs are compared by a setting, by its dotted name."""
    hidden = any(name == left or name.startswith(f"{left}.") for left in LEFT_OUT)
    return not hidden and not name.rpartition(".")[2].startswith("_")


def _differs(records: Sequence[RunRecord], name: str, folders: Sequence[str]) -> bool:
    """Whether a setting differs between runs that chose the same file for the part that it belongs to."""
    inside = [folder for folder in folders if name.startswith(f"{folder.rpartition('@')[2]}.")]
    found: dict[tuple[str, ...], set[str]] = {}
    for record in records:
        same = tuple(value(record, folder) for folder in inside)
        found.setdefault(same, set()).add(repr(record.settings.get(name, NONE)))
    return any(len(values) > 1 for values in found.values())


def _follows(records: Sequence[RunRecord], name: str, other: str) -> bool:
    """Whether one choice is decided by another."""
    pairs = {(value(record, other), value(record, name)) for record in records}
    return len(pairs) == len({first for first, _ in pairs})
