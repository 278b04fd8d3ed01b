"""Binary patterns: how the lit pixels of prediction and target overlap, one value an image.

Both images are thresholded: A and B are the pixels of prediction and target at or above the threshold. One rule for
every metric where a set is empty: both empty counts 1, one empty and the other not counts 0. An image that has NaN has
no sets: its metrics are NaN.
"""

from jaxtyping import Float
from torch import Tensor

from spt.precision import in_float64
from spt.shapes import same_shape


def ji(pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], threshold: float = 0.5) -> Float[Tensor, " b"]:
    """Jaccard index per image, |A and B| / |A or B|; 1 where both are empty.

    Raises:
        ValueError: if the shapes differ.
    Source: Jaccard (1912).
    """
    both, lit, true = _counts(pred, target, threshold)
    return _share(both, lit + true - both, lit + true)


def dice(
    pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Dice coefficient per image, 2 |A and B| / (|A| + |B|); 1 where both are empty. Equals 2 JI / (1 + JI).

    Raises:
        ValueError: if the shapes differ.
    Source: Dice, Ecology 26, 297 (1945).
    """
    both, lit, true = _counts(pred, target, threshold)
    return _share(2 * both, lit + true, lit + true)


def precision(
    pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Share of the predicted pixels that are true, per image, |A and B| / |A|; if A is empty, 1 only where B is too.

    Raises:
        ValueError: if the shapes differ.
    Source: the definition. Differs: the empty prediction, where the fraction is undefined.
    """
    both, lit, true = _counts(pred, target, threshold)
    return _share(both, lit, lit + true)


def recall(
    pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Share of the true pixels that were predicted, per image, |A and B| / |B|; if B is empty, 1 only where A is too.

    Raises:
        ValueError: if the shapes differ.
    Source: the definition. Differs: the empty target, where the fraction is undefined.
    """
    both, lit, true = _counts(pred, target, threshold)
    return _share(both, true, lit + true)


def accuracy(
    pred: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], threshold: float = 0.5
) -> Float[Tensor, " b"]:
    """Share of the pixels that are in both A and B or in neither, per image.

    Raises:
        ValueError: if the shapes differ.
    Source: the definition.
    """
    both, lit, true = _counts(pred, target, threshold)
    return 1 - (lit + true - 2 * both) / pred[0].numel()


def _counts(pred: Tensor, target: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Count A and B, A, and B, in float64; NaN where an image has NaN."""
    same_shape(pred, target, "pred")
    p, t = (image.flatten(1) >= threshold for image in (pred, target))
    undefined = (pred.isnan() | target.isnan()).flatten(1).any(1)
    *counts, undefined = (in_float64(x) for x in ((p & t).sum(1), p.sum(1), t.sum(1), undefined))
    both, lit, true = (count.masked_fill(undefined > 0, float("nan")) for count in counts)
    return both, lit, true


def _share(part: Tensor, whole: Tensor, lit: Tensor) -> Tensor:
    return (part / whole.clamp(min=1)).masked_fill(lit == 0, 1.0)
