"""Focal loss: cross-entropy that turns from the pixels which are right already."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from spt.losses.closed_form import with_gradient
from spt.losses.image_loss import ImageLoss
from spt.losses.shapes import check_activation, in_float32, is_softmax, same_shape


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
        target: of the same shape, or class indices (b, h, w) of a softmax; it gets no gradient.
        alpha: weight of the foreground against 1 - alpha: of every sigmoid channel, of channel 0 of two softmax
            classes. None weighs nothing. More than two classes have no foreground: ``alpha`` does not enter there.
        gamma: 0 is (weighted) cross-entropy; more turns from what is right.
        activation: ``auto``, ``sigmoid`` or ``softmax``.
    Raises:
        ValueError: if the shapes do not fit.
    Source: the notes, Focal Loss; Lin et al. (2017), eq. (5). Differs: nothing; two softmax classes give the value of
        the sigmoid on their difference.
    """
    softmax = is_softmax(logits, activation)
    if target.is_floating_point():
        same_shape(logits, target)
        (x, t) = in_float32(logits, target)
        closed_form = _softmax if softmax else _sigmoid
        with torch.no_grad():
            value, gradient = closed_form(x, t, alpha, gamma)
        return with_gradient(x, value, gradient)
    if not softmax:
        raise ValueError(
            "class indices need a softmax. Choose head=grey_levels, or give a target of the logits' shape."
        )
    same_shape(logits[:, 0], target)
    (x,) = in_float32(logits)
    return _of_class_indices(x, target, alpha, gamma)


def _sigmoid(x: Tensor, t: Tensor, alpha: float | None, gamma: float) -> tuple[Tensor, Tensor]:
    """Value and gradient ``alpha t q^gamma (gamma p log p - q) + (1 - alpha) (1 - t) p^gamma (p - gamma q log q)``."""
    lit, dark = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    p, log_pq = x.sigmoid(), F.logsigmoid(x.abs())
    q = 1 - p
    log_p, log_q = x.clamp(max=0).add_(log_pq), log_pq.sub_(x.clamp(min=0))
    w_p, w_q = (q**gamma).mul_(t).mul_(lit), (p**gamma).mul_(1 - t).mul_(dark)
    value = -((w_p * log_p).sum() + (w_q * log_q).sum()) / x.numel()
    log_p.mul_(p).mul_(gamma).sub_(q).mul_(w_p)
    log_q.mul_(q).mul_(-gamma).add_(p).mul_(w_q)
    return value, log_p.add_(log_q).div_(x.numel())


def _softmax(x: Tensor, t: Tensor, alpha: float | None, gamma: float) -> tuple[Tensor, Tensor]:
    """Value and gradient ``g_c - p_c sum g`` with ``g_c = w_c t_c (gamma q_c^(gamma-1) p_c log p_c - q_c^gamma)``."""
    log_p = x.log_softmax(dim=1)
    p, q = log_p.exp(), log_p.expm1().neg_()
    w = (q**gamma).mul_(t)
    if alpha is not None and x.shape[1] == 2:
        w.mul_(w.new_tensor([alpha, 1 - alpha]).view(2, 1, 1))
    pixels = x.numel() // x.shape[1]
    value = -(w * log_p).sum() / pixels
    # At q = 0 the logarithm is 0 too, and their ratio is bounded by 1.
    g = log_p.mul_(p).mul_(gamma).div_(q.clamp_(min=1e-30)).sub_(1).mul_(w)
    return value, g.sub_(p.mul_(g.sum(dim=1, keepdim=True))).div_(pixels)


def _of_class_indices(x: Tensor, target: Tensor, alpha: float | None, gamma: float) -> Tensor:
    # gather keeps the classes' logarithms once; the dense form above would need a one-hot copy.
    log_p = x.log_softmax(dim=1).gather(1, target[:, None])[:, 0]
    cost = -((-log_p.expm1()).clamp(min=1e-30) ** gamma) * log_p
    if alpha is not None and x.shape[1] == 2:
        cost = cost * torch.where(target == 0, alpha, 1 - alpha)
    return cost.mean()


class FocalLoss(ImageLoss):
    """Focal loss, see :func:`focal`.

    Args:
        alpha: weight of the foreground, in [0, 1], or None; without effect for more than two softmax classes.
        gamma: 0 or more.
        activation: ``auto`` (one channel sigmoid, more softmax), ``sigmoid`` or ``softmax``.
        check: see :class:`ImageLoss`.
    Raises:
        ValueError: if a value lies outside.
    """

    heads = ("binary", "two_class", "grey_levels", "multi_label")

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, activation: str = "auto", check: bool = False
    ) -> None:
        super().__init__(check)
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1] or be null, got {alpha}.")
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"gamma must be 0 or more and finite, got {gamma}.")
        self.alpha, self.gamma, self.activation = alpha, gamma, check_activation(activation)

    def value(
        self, logits: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"] | Int[Tensor, "b h w"]
    ) -> Float[Tensor, ""]:
        """Return the scalar loss."""
        return focal(logits, target, self.alpha, self.gamma, self.activation)
