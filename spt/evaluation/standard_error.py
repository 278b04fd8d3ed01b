"""Standard errors over clusters: images that share a diffuser or an object are not independent of each other."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.data.pairs import Pairs
from spt.metrics import calibration_error

Labels = Int[Tensor, " n"]
"""Number of the cluster of each image, from 0 on."""


def counts(pairs: Pairs) -> dict[str, int]:
    """Number of images ``n``, of ``diffusers``, and of ``objects`` where the pairs know theirs."""
    counted = {"n": len(pairs), "diffusers": len(pairs.diffuser.unique())}
    if "object" in pairs.parameters:
        counted["objects"] = len(pairs.parameters["object"].unique())
    return counted


def clusters(pairs: Pairs) -> list[Labels]:
    """How the images of a split depend on each other: by diffuser, by object, by both, or not at all.

    A property that all images share or that no two images share makes no clusters. Where neither diffuser nor object
    makes clusters, every image is a cluster of its own.
    """
    n = len(pairs)
    known = [pairs.diffuser, *(pairs.parameters[name] for name in ("object",) if name in pairs.parameters)]
    labels = [values.unique(return_inverse=True)[1] for values in known]
    return [each for each in labels if 1 < int(each.max()) + 1 < n] or [torch.arange(n)]


def standard_error(values: Float[Tensor, " n"], by: Sequence[Labels]) -> float:
    """Standard error of the mean over images, robust to any correlation inside a cluster; 0 for a single image.

    One set of labels with G clusters: V = G / (G - 1) * sum over clusters of (sum of their residuals)^2 / n^2. Clusters
    of one image each give the usual standard error. Two sets of labels: as :func:`cluster_variance`.

    Args:
        values: one a image.
        by: one or two sets of labels, from :func:`clusters`.
    Source: Cameron & Miller, J. Human Resources 50, 317 (2015), section II: cluster-robust variance of a mean.
    """
    residuals = values.double() - values.double().mean()

    def variance(labels: Labels) -> float:
        sums = _sums(residuals, labels)
        return (_correction(len(sums)) * sums.square().sum() / len(values) ** 2).item()

    return cluster_variance(by, variance) ** 0.5


def calibration_standard_error(sums: Float[Tensor, "n 3 bins"], by: Sequence[Labels]) -> float:
    """Standard error of the calibration error that is pooled over images: the jackknife leaves out cluster by cluster.

    Args:
        sums: of :func:`spt.metrics.reliability`.
        by: one or two sets of labels, from :func:`clusters`.
    Source: Efron & Stein, Ann. Stat. 9, 586 (1981): the jackknife estimate of variance.
    """
    total = sums.sum(0)

    def variance(labels: Labels) -> float:
        left = calibration_error(total - _sums(sums, labels))
        if len(left) == 1:
            return 0.0
        return ((len(left) - 1) / len(left) * (left - left.mean()).square().sum()).item()

    return cluster_variance(by, variance) ** 0.5


def cluster_variance(by: Sequence[Labels], variance: Callable[[Labels], float]) -> float:
    """Variance under one set of clusters, or under two: V_first + V_second - V_both.

    It is at least the variance under each set alone, and at least that of independent images: two diffusers may agree
    by chance, and the difference may be negative.

    Args:
        by: one or two sets of labels.
        variance: the variance under one set. "Both" is the set whose images share both labels.
    Source: Cameron, Gelbach, Miller, J. Bus. Econ. Stat. 29, 238 (2011), section 2. Differs: the lower bounds.
    """
    independent = variance(torch.arange(len(by[0])))
    alone = [variance(labels) for labels in by]
    if len(by) == 1:
        return max(independent, *alone)
    first, second = by
    both = (first * (int(second.max()) + 1) + second).unique(return_inverse=True)[1]
    return max(independent, *alone, sum(alone) - variance(both))


def _sums(values: Float[Tensor, "n ..."], labels: Labels) -> Float[Tensor, "g ..."]:
    """Sum over the images of each cluster."""
    return values.new_zeros(int(labels.max()) + 1, *values.shape[1:]).index_add_(0, labels, values)


def _correction(number: int) -> float:
    """The factor for few clusters, G / (G - 1)."""
    return number / (number - 1) if number > 1 else 0.0
