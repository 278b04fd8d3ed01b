"""What a training ran on: versions, machine, revision of the code; one entry for every start of a run."""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from spt import __version__
from spt.files import atomic
from spt.run.folder import RunFolder

PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "numpy", "scipy", "timm", "torchmetrics")
"""Packages whose version is written down."""

PROJECT = Path(__file__).parents[2]


def note_start(folder: RunFolder, configuration: str = "") -> None:
    """Add an entry to ``environment.json``: a run that is continued has one for each start.

    Args:
        folder: of the run.
        configuration: YAML, as it was composed.
    """
    entries = [*read_starts(folder), describe_environment() | {"configuration": configuration}]
    with atomic(folder.environment) as part:
        part.write_text(json.dumps(entries, indent=2) + "\n")


def read_starts(folder: RunFolder) -> list[dict[str, Any]]:
    """The entries, the oldest first; none where there is no such file, or a damaged one."""
    try:
        entries = json.loads(folder.environment.read_text())
    except (OSError, ValueError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def describe_environment() -> dict[str, Any]:
    """Time, arguments, versions, processor, GPU and the revision of the code, as JSON types."""
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "arguments": sys.argv[1:],
        "spt": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "packages": {name: known for name in PACKAGES if (known := _version(name))},
        "git": git_revision(PROJECT),
    }


def git_revision(project: Path) -> dict[str, Any] | None:
    """Commit of the code and whether files were changed since; None where the code is no checkout, or git is missing.

    Args:
        project: folder that holds ``spt``. A repository that only surrounds an installed spt does not count.
    """
    if _git(project, "ls-files", "--error-unmatch", "spt/__init__.py") is None:
        return None
    commit, changes = _git(project, "rev-parse", "HEAD"), _git(project, "status", "--porcelain", "-uno")
    return None if commit is None else {"commit": commit, "changed": bool(changes)}


def _git(project: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *arguments],
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Name of the processor; Linux says more than Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
