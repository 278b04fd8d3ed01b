"""Formulas that compare pixel by pixel. Autograd differentiates them, to the logits and to the target.

Every function refuses logits and a target of different shapes with a ValueError, reduces in at least float32 and
returns a scalar.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from spt.losses.inputs import checked, is_softmax
from spt.precision import at_least_float32
from spt.shapes import same_shape

SMALLEST = 1e-16  # a root of less has a second derivative that overflows float32


def binary_cross_entropy(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-t log p - (1 - t) log(1 - p)`` with p = sigmoid(logits); grey targets allowed.

    Source: the notes, 交叉熵损失.
    """
    x, t = checked(logits, target)
    return F.binary_cross_entropy_with_logits(x, t)


def weighted_binary_cross_entropy(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], pos_weight: float | None = None
) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-w t log p - (1 - t) log(1 - p)`` with p = sigmoid(logits); grey targets allowed.

    Args:
        logits: one or more sigmoid channels.
        target: values in [0, 1].
        pos_weight: w; None takes negatives / positives of the batch, sum(1 - t) / sum(t), so that both weigh the same.
            A batch without positives is then plain BCE; one without negatives costs nothing.
    Source: the notes, Weighted Loss. Differs: the notes' text says that positives are suppressed; w > 1 amplifies them.
    """
    x, t = checked(logits, target)
    w = (1 - t).sum() / t.sum().clamp(min=1e-6) if pos_weight is None else pos_weight
    # log(1 - p) is log p - x, so one logarithm serves both terms.
    return ((1 - t) * x - (1 + (w - 1) * t) * F.logsigmoid(x)).mean()


def cross_entropy(
    logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Mean over all pixels of ``-sum_c t_c log p_c`` with p = softmax(logits) over the channels.

    Args:
        logits: two or more channels.
        target: probabilities of the classes, or class indices (b, h, w).
    Raises:
        ValueError: if there is one channel.
    Source: the notes, 交叉熵损失.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"cross-entropy needs two or more channels, got {logits.shape[1]}. Choose head=two_class.")
    if not target.is_floating_point():
        return -_log_of_true_class(logits, target).mean()
    x, t = checked(logits, target)
    return -(t * x.log_softmax(dim=1)).sum(dim=1).mean()


def focal(
    logits: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"],
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    activation: str = "auto",
) -> Float[Tensor, ""]:
    """Mean over all pixels (and sigmoid channels) of ``-w (1 - p)^gamma log p``, p the probability of what is true.

    Sigmoid channels cost ``-alpha t q^gamma log p - (1 - alpha) (1 - t) p^gamma log q`` with q = 1 - p, a softmax
    ``-sum_c w_c t_c (1 - p_c)^gamma log p_c``. Grey targets allowed.

    Args:
        logits: sigmoid channels or softmax classes.
        target: of the same shape, or class indices (b, h, w) of a softmax.
        alpha: weight of the foreground against 1 - alpha: of every sigmoid channel, of channel 0 of two softmax
            classes. None weighs nothing. More than two classes have no foreground: ``alpha`` does not enter there.
        gamma: 0 is (weighted) cross-entropy; a larger value gives less weight to pixels that are right already.
        activation: ``auto``, ``sigmoid`` or ``softmax``.
    Raises:
        ValueError: if class indices are given for sigmoid channels.
    Source: the notes, Focal Loss; Lin et al. (2017), eq. (5).
    """
    lit, dark = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    softmax = is_softmax(logits, activation)
    two = logits.shape[1] == 2
    if not target.is_floating_point():
        if not softmax:
            raise ValueError(
                "class indices need a softmax. Choose head=grey_levels, or give a target of the logits' shape."
            )
        cost = _focal_cost(_log_of_true_class(logits, target), gamma)
        return (torch.where(target == 0, lit * cost, dark * cost) if two else cost).mean()
    x, t = checked(logits, target)
    if softmax:
        weight = t.new_tensor([lit, dark] if two else 1.0).view(-1, 1, 1)
        return (weight * t * _focal_cost(x.log_softmax(dim=1), gamma)).sum(dim=1).mean()
    log_p, log_q = F.logsigmoid(x), F.logsigmoid(-x)
    # The power by its logarithm: its slope stays finite where p or q is 0.
    q_gamma, p_gamma = (gamma * log_q).exp(), (gamma * log_p).exp()
    return -(lit * t * q_gamma * log_p + dark * (1 - t) * p_gamma * log_q).mean()


def mean_squared_error(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``(p - t)^2`` with p = sigmoid(logits). Its slope vanishes where p is surely wrong."""
    x, t = checked(logits, target)
    return (x.sigmoid() - t).square().mean()


def mean_absolute_error(logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean over all pixels of ``|p - t|`` with p = sigmoid(logits)."""
    x, t = checked(logits, target)
    return (x.sigmoid() - t).abs().mean()


def _log_of_true_class(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probability (b, h, w) of the class given by index; gather needs no one-hot copy of (b, c, h, w)."""
    same_shape(logits[:, 0], target, "logits")
    return at_least_float32(logits).log_softmax(dim=1).gather(1, target[:, None])[:, 0]


def _focal_cost(log_p: Tensor, gamma: float) -> Tensor:
    """``-(1 - p)^gamma log p``."""
    return -((-log_p.expm1()).clamp(min=SMALLEST) ** gamma) * log_p
