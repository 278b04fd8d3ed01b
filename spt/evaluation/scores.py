"""Scores of one split: every metric of every image, then mean and standard error."""

import logging
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.evaluation.standard_error import calibration_standard_error, clusters, counts, standard_error
from spt.metrics import calibration_error, per_image

log = logging.getLogger(__name__)

Score = dict[str, float | int | None]
"""``mean``, ``sem`` (standard error), ``n`` images, ``diffusers``, and ``objects`` where known; null if not finite."""

Scores = dict[str, Score]
"""Metric to score."""


def image_scores(pred: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]) -> dict[str, Float[Tensor, " n"]]:
    """Every metric of every image; NaN where a prediction holds NaN or infinity."""
    broken = ~finite_images(pred)
    return {name: values.masked_fill(broken, torch.nan) for name, values in per_image(pred, target).items()}


def finite_images(images: Float[Tensor, "n 1 h w"]) -> Tensor:
    """Whether all pixels of each image are finite, (n,)."""
    return images.isfinite().flatten(1).all(1)


def summarise(values: Mapping[str, Float[Tensor, " n"]], pairs: Pairs, method: str) -> Scores:
    """Mean and cluster-robust standard error of every metric over the images of a split.

    Args:
        values: metric to one value an image.
        pairs: the split; its diffusers and objects are the clusters.
        method: what made the images, for the log: a metric that is not finite becomes null, and the log says why.
    """
    by, counted = clusters(pairs), counts(pairs)
    scores: Scores = {}
    broken: set[int] = set()
    for metric, each in values.items():
        bad = (~each.isfinite()).nonzero().flatten().tolist()
        broken.update(bad)
        mean, sem = (None, None) if bad else (each.double().mean().item(), standard_error(each, by))
        scores[metric] = {"mean": mean, "sem": sem, **counted}
    if broken:
        missing = [metric for metric, score in scores.items() if score["mean"] is None]
        log.warning("%s on %s: %s null; %s not finite.", method, pairs.name, _listed(missing), numbers(broken))
    return scores


def summarise_calibration(sums: Float[Tensor, "n 3 bins"], pairs: Pairs) -> Score:
    """Calibration error pooled over the pixels of a split, with the jackknife's standard error over its clusters.

    Args:
        sums: of :func:`spt.metrics.reliability`; NaN makes the score null.
        pairs: the split.
    """
    if not sums.isfinite().all():
        return {"mean": None, "sem": None, **counts(pairs)}
    sem = calibration_standard_error(sums, clusters(pairs))
    return {"mean": calibration_error(sums.sum(0)).item(), "sem": sem, **counts(pairs)}


def numbers(images: set[int] | list[int]) -> str:
    """Name images by their numbers, the first ten of many."""
    listed = sorted(images)
    more = f", … ({len(listed)} in all)" if len(listed) > 10 else ""
    return f"image{'s' if len(listed) > 1 else ''} {', '.join(map(str, listed[:10]))}{more}"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}"
