"""A loss that brings its own gradient: autograd keeps that one buffer instead of every step of the formula."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function


def with_gradient(
    logits: Float[Tensor, "b c h w"], value: Float[Tensor, ""], gradient: Float[Tensor, "b c h w"]
) -> Float[Tensor, ""]:
    """Return ``value`` as a function of ``logits`` whose derivative is ``gradient``; the target gets none.

    Args:
        logits: what the loss was computed of.
        value: the loss, without a graph.
        gradient: its derivative to the logits, without a graph. A second derivative raises.
    """
    return _WithGradient.apply(logits, value, gradient)


class _WithGradient(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():  # create_graph=True: what is missing would count as zero
            raise RuntimeError("this loss has no second derivative (create_graph=True); plain dice, bce and ce have.")
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None
