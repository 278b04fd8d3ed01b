"""Which pixels of the network's input decide a pixel of its image: gradients and what they cover."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spt.heads import Head
from spt.optics.resampling import resized

Size = tuple[int, int]

COVERED = 0.0455
"""Share of the greatest value from which a pixel belongs to the effective receptive field: two standard deviations."""


def saliency(
    model: nn.Module, head: Head, speckle: Float[Tensor, "b i h w"], pixel: tuple[int, int], size: Size
) -> Float[Tensor, "b i h w"]:
    """Gradient of one pixel of the image, before the sigmoid, with respect to the network's input.

    Args:
        model: in evaluation mode.
        head: what the channels mean. Of several channels the image itself is taken, of one channel the logit, whose
            gradient does not vanish where the network is sure.
        speckle: prepared frames, on the device of the network.
        pixel: y and x in the image [px].
        size: height and width of the image [px].
    Source: Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks (2014), section 3.
        Differs: a pixel's logit in place of a class score; the sign is kept.
    """
    given = speckle.detach().clone().requires_grad_()
    with torch.enable_grad():
        score = evidence(head, resized(model(given), size))[:, 0, pixel[0], pixel[1]].sum()
        return torch.autograd.grad(score, given)[0]


def evidence(head: Head, logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """The logit of one channel; of several channels the image, or the greatest logit where the image is a choice."""
    if logits.shape[1] == 1:
        return logits
    image = head.decode(logits)
    return image if image.requires_grad else logits.amax(1, keepdim=True)


def receptive_field(
    model: nn.Module, head: Head, speckle: Float[Tensor, "b i h w"], pixel: tuple[int, int], size: Size
) -> Float[Tensor, "h w"]:
    """Effective receptive field: the mean absolute gradient of one pixel over several frames, greatest value 1.

    Args:
        model: in evaluation mode.
        head: what the channels mean.
        speckle: prepared frames, on the device of the network.
        pixel: y and x in the image [px].
        size: height and width of the image [px].
    Source: Luo et al., Understanding the Effective Receptive Field in Deep Convolutional Neural Networks (2016),
        section 3.1. Differs: recorded speckles in place of random inputs.
    """
    total = torch.stack([saliency(model, head, frame[None], pixel, size)[0].abs().sum(0) for frame in speckle]).mean(0)
    return total / total.max().clamp(min=torch.finfo(total.dtype).tiny)


def side(field: Float[Tensor, "h w"]) -> float:
    """Side of a square with as many pixels as the field covers [px]; 0 where there is no gradient at all.

    Source: as :func:`receptive_field`, section 3.1: pixels above 1 - 95.45 % of the greatest value.
    """
    return math.sqrt(int((field > COVERED * field.max()).sum()))
