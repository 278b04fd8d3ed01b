"""Trained networks that come with spt."""

from pathlib import Path

from spt.errors import InvalidValue

FOLDER = Path(__file__).parents[1] / "trained_networks"


def bundled_names() -> list[str]:
    """Names of the networks that come with spt."""
    return sorted(path.name for path in FOLDER.iterdir() if (path / "checkpoints").is_dir())


def run_path(run: str | Path) -> Path:
    """The folder that a name or a path means; a folder of that name comes first.

    Args:
        run: a run folder, or the name of a network that comes with spt.
    """
    path = Path(run).expanduser()
    return FOLDER / path.name if not path.exists() and str(run) in bundled_names() else path


def is_bundled(folder: Path) -> bool:
    """Whether a run folder is that of a network that comes with spt."""
    return folder.resolve().is_relative_to(FOLDER)


def refuse_bundled(folder: Path) -> None:
    """Refuse to write into the folder of a network that comes with spt.

    Raises:
        InvalidValue: if the folder is one.
    """
    if is_bundled(folder):
        raise InvalidValue(f"run={folder.name} comes with spt, and nothing is written beside it. Set out=<folder>.")
