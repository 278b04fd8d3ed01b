"""Evaluation of a trained network: its scores first, then the baselines, the report and the pictures."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spt.data.cache.cached import InMemory
from spt.data.cache.disk import OnDisk
from spt.data.files.frames import Frames
from spt.data.pairs import Pairs, images
from spt.data.preparation import Preparation
from spt.errors import InvalidValue
from spt.evaluation import pictures
from spt.evaluation.baseline_scores import score_baselines
from spt.evaluation.headline import headline
from spt.evaluation.metrics_file import write_metrics
from spt.evaluation.network_scores import NetworkResult, score_network
from spt.evaluation.predict import Predictor
from spt.evaluation.reliability import reliability_diagram
from spt.evaluation.score_table import print_table, write_markdown
from spt.evaluation.scores import Scores
from spt.metrics.calibration import BINS

log = logging.getLogger(__name__)

BASELINE_PAIRS = 6000
"""Training pairs that the baselines use at most, unless told otherwise."""


@dataclass(frozen=True)
class ResultFiles:
    """Where an evaluation is written.

    Args:
        metrics: ``metrics.json``.
        report: the table as Markdown.
        figures: folder of the pictures.
    """

    metrics: Path
    report: Path
    figures: Path


@dataclass(frozen=True)
class Evaluation:
    """Results of the network and of the baselines, by split, and the files of the pictures, by name."""

    network: dict[str, NetworkResult]
    baselines: dict[str, dict[str, Scores]]
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, Scores]:
        """Split to metric to score of the network."""
        return {name: result.scores for name, result in self.network.items()}


def evaluate(
    predictor: Predictor,
    splits: Mapping[str, Pairs],
    files: ResultFiles,
    run: Mapping[str, Any],
    bins: int = BINS,
    baseline_pairs: int = BASELINE_PAIRS,
    cache: Path | None = None,
    kept: Mapping[str, Mapping[str, Scores]] | None = None,
) -> Evaluation:
    """Score a network and the baselines on every split but ``train``.

    ``metrics.json`` is written as soon as the network is scored, and again with the baselines.

    Args:
        predictor: the network, on its device; it is put into evaluation mode.
        splits: the pairs to evaluate on; the baselines are fitted on ``train``.
        files: where to write.
        run: facts to write into ``metrics.json``: ``network`` (its name), ``parameters``, ``epochs``, ``device``,
            ``precision``, ``seconds`` of the training, and more.
        bins: bins of the calibration error.
        baseline_pairs: training pairs that the baselines use at most; 0 leaves the baselines out.
        cache: folder where the baselines' scores are kept for other runs on the same data; None keeps none.
        kept: scores of the baselines that are known already, for where none are computed.
    Raises:
        InvalidValue: if predictions are not finite, naming split and images, after all files were written.
    """
    predictor.model.eval()
    evaluated = {name: pairs for name, pairs in splits.items() if name != "train"}
    network = {name: score_network(predictor, pairs, run["network"], bins) for name, pairs in evaluated.items()}
    result = Evaluation(network, {name: dict((kept or {}).get(name, {})) for name in evaluated})
    write_metrics(files.metrics, result.scores, result.baselines, run)
    if baseline_pairs > 0:
        began = time.perf_counter()
        found = score_baselines(splits["train"], evaluated, predictor.preparation, baseline_pairs, cache)
        result = Evaluation(network, found)
        spent = time.perf_counter() - began
        run = {**run, "baseline_seconds": round(spent, 1)}
        others = sum(map(len, evaluated.values()))
        _explain_time(spent, run["seconds"], splits["train"], others, baseline_pairs, predictor.preparation)
        write_metrics(files.metrics, result.scores, result.baselines, run)
    write_markdown(files.report, run, result.scores, result.baselines)
    for name, pairs in evaluated.items():
        result.pictures.update(draw(files.figures, run["network"], pairs, network[name], name))
    log.info("%s", headline(result.scores, result.baselines))
    print_table(run["network"], result.scores, result.baselines)
    log.info("Scores: %s and %s. Pictures: %s.", files.metrics, files.report, files.figures)
    faults = [split.fault for split in network.values() if split.fault]
    if faults:
        raise InvalidValue("\n".join([*faults, f"Their scores are null in {files.metrics}."]))
    return result


def draw(
    folder: Path, network: str, pairs: Pairs, result: NetworkResult, name: str, reliability: bool = True
) -> dict[str, Path]:
    """Draw the best, the median and the worst images of a split, and its reliability diagram where there is one.

    Args:
        folder: where the pictures are written.
        network: its name, for the title.
        pairs: the split.
        result: of the network.
        name: of the files.
        reliability: whether the diagram is drawn, too.
    Returns:
        Name to file.
    """
    mean = result.scores["pcc"]["mean"]
    chosen = [number for numbers in result.shown.values() for number in numbers]
    ranks = [rank for rank, numbers in result.shown.items() for _ in numbers]
    title = f"{pairs.name}: {network}, PCC {'null' if mean is None else f'{mean:.3f}'} (mean of {len(pairs)} images)"
    target = images(pairs.target[chosen])
    sheet = pictures.contact_sheet(pairs.speckle[chosen], result.images, target, title, names=ranks)
    drawn = {name: pictures.save(sheet, folder / f"{name}.png")}
    if reliability and result.reliability is not None and result.reliability.isfinite().all():
        title = f"{pairs.name}: {network}, {len(pairs)} images"
        diagram = reliability_diagram(result.reliability, title)
        drawn[f"{name}_reliability"] = pictures.save(diagram, folder / f"{name}_reliability.png")
    return drawn


def _explain_time(
    spent: float, training: float, train: Pairs, others: int, baseline_pairs: int, preparation: Preparation
) -> None:
    """Say why, and what helps, where the baselines took more than a tenth of the time of the training."""
    if spent <= training / 10:
        return
    frames = train.speckle
    height, width = frames.shape[1:]
    rows, columns = preparation.input_size((height, width), (train.target.shape[1], train.target.shape[2]))
    smaller = f", prepare each to {rows}x{columns} px" if (rows, columns) != (height, width) else ""
    read_again = isinstance(frames, Frames) and not isinstance(frames, InMemory | OnDisk)
    log.info(
        "The baselines took %.1f s, more than a tenth of the %.1f s before them. They read %d training frames and %d "
        "others of %dx%d px several times%s, and compare them with each other. To be faster: %sbaseline_pairs=0 leaves "
        "the baselines out%s.",
        spent,
        training,
        min(baseline_pairs, len(train)),
        others,
        height,
        width,
        smaller,
        "baseline_pairs=1000 uses at most 1000 training frames, " if min(baseline_pairs, len(train)) > 1000 else "",
        ", data.cache=memory or disk reads every file once" if read_again else "",
    )
