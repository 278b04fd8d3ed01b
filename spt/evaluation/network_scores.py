"""Scores of the network on one split, batch by batch."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spt.data.pairs import Pairs
from spt.evaluation.predict import Predictor
from spt.evaluation.scores import Scores, finite_images, image_scores, numbers, summarise, summarise_calibration
from spt.metrics import reliability


@dataclass(frozen=True)
class NetworkResult:
    """What the network made of one split.

    Args:
        scores: of every metric, and ``ece`` where the images are probabilities.
        reliability: bins of the reliability diagram, summed over images; None where there is none.
        shown: what to call some images, such as ``worst``, to their numbers.
        images: the predictions of these, in this order.
        fault: why some scores are null; empty if all predictions are finite.
    """

    scores: Scores
    reliability: Float64[Tensor, "3 bins"] | None
    shown: dict[str, list[int]]
    images: Float[Tensor, "k 1 h w"]
    fault: str


def score_network(predictor: Predictor, pairs: Pairs, name: str, bins: int, shown: int = 4) -> NetworkResult:
    """Predict all images of a split and compute every metric on the CPU, in float64.

    Args:
        predictor: the network; its model in evaluation mode.
        pairs: the split.
        name: what the network is called in the log.
        bins: bins of the calibration error.
        shown: how many of the worst, of the median and of the best predictions to keep.
    """
    values: list[dict[str, Tensor]] = []
    sums: list[Tensor] = []
    finite = torch.ones(len(pairs), dtype=torch.bool)
    for part, logits, images in predictor.batches(pairs):
        target = pairs.images(part.start, part.stop)
        finite[part] = finite_images(images)
        own = predictor.head.logit_metrics(logits, predictor.head.encode(target))
        own = {metric: scored.masked_fill(~finite[part], torch.nan) for metric, scored in own.items()}
        values.append(image_scores(images, target) | own)
        if predictor.head.gives_probabilities:
            pixels = reliability(images.nan_to_num(0, 0, 0), target, bins)
            sums.append(pixels.masked_fill(~finite[part, None, None], torch.nan))
    each = {metric: torch.cat([batch[metric] for batch in values]) for metric in values[0]}
    scores = summarise(each, pairs, name)
    if sums:
        scores["ece"] = summarise_calibration(torch.cat(sums), pairs)
    broken = (~finite).nonzero().flatten().tolist()
    fault = _fault(predictor, pairs, broken) if broken else ""
    chosen = best_median_worst(each["pcc"], shown)
    kept = torch.cat([predictor.shown(pairs, numbers) for numbers in chosen.values()])
    return NetworkResult(scores, torch.cat(sums).sum(0) if sums else None, chosen, kept, fault)


def best_median_worst(values: Float[Tensor, " n"], each: int) -> dict[str, list[int]]:
    """Numbers of the images with the highest, the middle and the lowest values, by these names; NaN is the lowest.

    No image is named twice. Where there are too few, there are fewer of each kind.

    Args:
        values: one an image.
        each: how many of each kind, at most.
    """
    each = max(1, min(each, len(values) // 3))
    order = values.nan_to_num(-torch.inf).argsort(stable=True).tolist()
    worst = order[:each]
    best = order[len(worst) :][-each:][::-1]
    between = order[len(worst) : len(order) - len(best)]
    start = max(0, (len(between) - each) // 2)
    chosen = {"best": best, "median": between[start : start + each], "worst": worst}
    return {name: numbers for name, numbers in chosen.items() if numbers}


def _fault(predictor: Predictor, pairs: Pairs, broken: list[int]) -> str:
    """Whether the network or its input is to blame for predictions that are not finite."""
    frames = [k for k in broken if not predictor.preparation(pairs.speckle[k : k + 1][:, None]).isfinite().all()]
    if frames:
        return (
            f"{pairs.name}: the speckle of {numbers(frames)} holds NaN or infinity after preparation (a negative "
            "intensity under data.preparation.transform=sqrt does too). Mend these frames or leave them out."
        )
    return (
        f"{pairs.name}: the network's prediction of {numbers(broken)} holds NaN or infinity. Train again with a lower "
        "optimizer.lr."
    )
