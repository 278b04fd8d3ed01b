"""What a finished run wrote down, as reports and comparisons read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spt.evaluation.scores import Scores

NO_SPLITS = ("baselines", "run", "protocols")
"""Keys of ``metrics.json`` that are no splits."""


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Args:
        path: its folder.
        name: what people call it: its network and loss, or its folder.
        choices: which file of each folder of `configs/` it took; empty where Hydra did not record that.
        settings: its configuration, dotted name to value; interpolations stay as they were written.
        metrics: its ``metrics.json``.
        finished: when that was written, in seconds since 1970.
    """

    path: Path
    name: str
    choices: Mapping[str, str]
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    finished: float = 0.0

    @property
    def scores(self) -> dict[str, Scores]:
        """Split to metric to score of the network."""
        return {name: scores for name, scores in self.metrics.items() if name not in NO_SPLITS}

    @property
    def baselines(self) -> Mapping[str, Mapping[str, Scores]]:
        """Split to simple method to metric to score."""
        return self.metrics["baselines"]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ``metrics.json`` says of the run itself."""
        return self.metrics["run"]

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says of the data; empty for runs before version 0.3."""
        return self.facts.get("data") or {}

    @property
    def hashes(self) -> dict[str, str] | None:
        """Split to the hash of its images; None unless every split that was scored has one."""
        splits = self.data.get("splits") or {}
        found = {name: each["hash"] for name in self.scores if (each := splits.get(name) or {}).get("hash")}
        return found if found.keys() == self.scores.keys() else None
