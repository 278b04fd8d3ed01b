"""Formulas that compare an image as a whole. Autograd differentiates them, to the logits and to the target.

Every function refuses logits and a target of different shapes with a ValueError, reduces in at least float32 and
returns a scalar.
"""

from jaxtyping import Float
from torch import Tensor

from spt.losses.inputs import checked, is_softmax, probabilities
from spt.metrics.image import ssim_map

NEVER_ZERO = 1e-20  # the least smoothing: an empty image against an empty target would be 0 / 0


def soft_dice(
    logits: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    smooth: float = 1e-6,
    per_image: bool = True,
    foreground_only: bool = False,
    activation: str = "auto",
) -> Float[Tensor, ""]:
    """One minus soft Dice, ``1 - 2 sum(p t) / sum(p + t)`` per image and channel, then the mean.

    Args:
        logits: sigmoid channels or softmax classes.
        target: values in [0, 1].
        smooth: added to numerator and denominator, so that empty on empty costs 0.
        per_image: sum over the pixels of one image, so that the value does not depend on how images are batched;
            False sums over the pixels of the whole batch.
        foreground_only: of softmax classes only the first counts; sigmoid channels are all foregrounds.
        activation: ``auto``, ``sigmoid`` or ``softmax``.
    Source: the notes, Soft Dice Loss. Differs: the channels are the classes, so one sigmoid channel is the
        foreground alone; the smoothing term.
    """
    overlap, total = _overlap_and_total(logits, target, per_image, foreground_only, activation)
    smooth = max(smooth, NEVER_ZERO)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def soft_iou(
    logits: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    smooth: float = 1e-6,
    per_image: bool = True,
    foreground_only: bool = False,
    activation: str = "auto",
) -> Float[Tensor, ""]:
    """One minus soft intersection over union, ``1 - sum(p t) / sum(p + t - p t)``; the rest as in :func:`soft_dice`.

    Source: the notes, Soft IoU Loss. Differs: as :func:`soft_dice`.
    """
    overlap, total = _overlap_and_total(logits, target, per_image, foreground_only, activation)
    smooth = max(smooth, NEVER_ZERO)
    return (1 - (overlap + smooth) / (total - overlap + smooth)).mean()


def negative_pearson(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], eps: float = 1e-6
) -> Float[Tensor, ""]:
    """Minus the Pearson correlation of sigmoid(logits) and target per image and channel, then the mean; in [-1, 1].

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1].
        eps: floor of the standard deviations' product, so that a constant image gives 0 and no NaN.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018), section 2.C (NPCC). Differs: computed per image, not over the batch.
    """
    p, t = checked(logits, target)
    p, t = (x - x.mean(dim=(2, 3), keepdim=True) for x in (p.sigmoid(), t))
    variances = p.square().mean(dim=(2, 3)) * t.square().mean(dim=(2, 3))
    return -((p * t).mean(dim=(2, 3)) / (variances + eps**2).sqrt()).mean()


def structural_dissimilarity(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """One minus the mean structural similarity of sigmoid(logits) and target, see :func:`spt.metrics.image.ssim_map`.

    Raises:
        ValueError: if an image is smaller than the window, 11x11 px.
    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13, 600 (2004), eq. (13). Differs: in float32, which holds flat
        bright images to 2e-4.
    """
    x, t = checked(logits, target)
    return 1 - ssim_map(x.sigmoid(), t).mean()


def _overlap_and_total(
    logits: Tensor, target: Tensor, per_image: bool, foreground_only: bool, activation: str
) -> tuple[Tensor, Tensor]:
    """``sum(p t)`` and ``sum(p + t)`` over pixels."""
    x, t = checked(logits, target)
    p = probabilities(x, activation)
    if foreground_only and is_softmax(logits, activation):
        p, t = p[:, :1], t[:, :1]
    pixels = (2, 3) if per_image else (0, 2, 3)
    return (p * t).sum(pixels), p.sum(pixels) + t.sum(pixels)
