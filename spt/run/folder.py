"""Where a run keeps what."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths inside the folder of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The composed configuration."""
        return self.path / ".hydra" / "config.yaml"

    @property
    def choices(self) -> Path:
        """Hydra's record of the command line: which file of each folder was chosen."""
        return self.path / ".hydra" / "hydra.yaml"

    @property
    def overrides(self) -> Path:
        """Hydra's record of the command line: what was written behind the command."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def environment(self) -> Path:
        """What each training of this run ran on."""
        return self.path / "environment.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Weights of the epoch with the best monitored value."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """Complete state after the last finished epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def history(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def metrics(self) -> Path:
        """Final scores."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """The final table in Markdown."""
        return self.path / "report.md"

    @property
    def twin(self) -> Path:
        """The twin of the set-up that made the training pairs, where there was one."""
        return self.path / "twin.h5"

    @property
    def error(self) -> Path:
        """Why a job of a sweep failed."""
        return self.path / "error.txt"

    @property
    def evaluation(self) -> Path:
        """What ``evaluate.py`` found, a folder a protocol."""
        return self.path / "evaluation"

    @property
    def figures(self) -> Path:
        """Folder of the pictures."""
        return self.path / "figures"
