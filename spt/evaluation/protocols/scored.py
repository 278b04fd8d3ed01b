"""Scores of the network and of the simple methods at every point of a plan."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spt.data.pairs import Pairs
from spt.evaluation.baseline_scores import score_baselines, score_images
from spt.evaluation.network_scores import NetworkResult, score_network
from spt.evaluation.phase_retrieval import NAME, PhaseRetrieval
from spt.evaluation.predict import Predictor
from spt.evaluation.protocols.plan import Plan
from spt.evaluation.scores import Scores, summarise
from spt.metrics.calibration import BINS

Track = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes things on and shows how many of them are done."""


@dataclass(frozen=True)
class Scoring:
    """How points are scored.

    Args:
        predictor: the network, in evaluation mode.
        name: of the network.
        train: the training pairs of the run, on which the baselines are fitted; None leaves the baselines out.
        baseline_pairs: training pairs that the baselines use at most.
        cache: folder for the scores of the baselines.
        phase_retrieval: whether phase retrieval is one of the baselines; right for shift-invariant optics.
        names: of the baselines; None for all.
        track: shows how many points are done.
    """

    predictor: Predictor
    name: str
    train: Pairs | None
    baseline_pairs: int
    cache: Path | None = None
    phase_retrieval: bool = False
    names: Sequence[str] | None = None
    track: Track = iter


@dataclass(frozen=True)
class ScoredPlan:
    """What came out, by the number of the point and the kind of diffuser.

    Args:
        plan: what was evaluated.
        network: the name of the network.
        results: of the network.
        baselines: name to scores.
        seconds: method to time for an image [s]: the network, and phase retrieval where it was used.
    """

    plan: Plan
    network: str
    results: Mapping[tuple[int, str], NetworkResult]
    baselines: Mapping[tuple[int, str], Mapping[str, Scores]]
    seconds: Mapping[str, float]

    @property
    def methods(self) -> list[str]:
        """The network, then every baseline that has scores at every point."""
        known = [set(each) for each in self.baselines.values()]
        first = next(iter(self.baselines.values()), {})
        return [self.network, *(name for name in first if all(name in each for each in known))]

    def scores(self, number: int, kind: str, method: str) -> Scores:
        """Scores of a method at a point."""
        at = (number, kind)
        return self.results[at].scores if method == self.network else self.baselines[at][method]

    @property
    def faults(self) -> list[str]:
        """Why some scores are null."""
        return [result.fault for result in self.results.values() if result.fault]


def score_plan(plan: Plan, scoring: Scoring) -> ScoredPlan:
    """Score every method at every point; the baselines are fitted once for all of them."""
    keys = {f"{number} {kind}": (number, kind) for number, point in enumerate(plan.points) for kind in point.pairs}
    pairs = {key: plan.points[number].pairs[kind] for key, (number, kind) in keys.items()}
    seconds: dict[str, float] = {}
    images = sum(map(len, pairs.values()))
    began = time.perf_counter()
    results = {
        keys[key]: score_network(scoring.predictor, pairs[key], scoring.name, BINS) for key in scoring.track(pairs)
    }
    seconds[scoring.name] = (time.perf_counter() - began) / images
    baselines: dict[str, dict[str, Scores]] = {key: {} for key in pairs}
    if scoring.train is not None:
        preparation = scoring.predictor.preparation
        most, cache, names = scoring.baseline_pairs, scoring.cache, scoring.names
        baselines = score_baselines(scoring.train, pairs, preparation, most, cache, names)
        if scoring.phase_retrieval:
            began, method = time.perf_counter(), PhaseRetrieval(scoring.train, preparation)
            for key in scoring.track(pairs):
                baselines[key][NAME] = summarise(score_images(method, pairs[key]), pairs[key], NAME)
            seconds[NAME] = (time.perf_counter() - began) / images
    return ScoredPlan(plan, scoring.name, results, {keys[key]: each for key, each in baselines.items()}, seconds)
