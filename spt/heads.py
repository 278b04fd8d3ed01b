"""What the network's channels mean: how a target becomes channels and logits become an image."""

import math
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor


class Head(Protocol):
    """What a head gives to training and to losses."""

    name: ClassVar[str]
    channels: int

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Tensor:
        """Turn an image in [0, 1] into what the loss compares the logits with."""

    def decode(self, logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]."""

    def prior_logits(self, share: float) -> Float[Tensor, " c"]:
        """Return the logits of an image that has the value ``share`` everywhere."""


class BinaryHead:
    """One channel, sigmoid: the probability that a pixel is lit. Targets may be grey.

    Args:
        channels: channels of the logits; the model's ``out_channels`` is interpolated from here.
    Raises:
        ValueError: if ``channels`` is not 1.
    """

    name: ClassVar[str] = "binary"

    def __init__(self, channels: int = 1) -> None:
        if channels != 1:
            raise ValueError(f"the binary head has one channel, got channels = {channels}.")
        self.channels = channels

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn an image in [0, 1] into what the loss compares the logits with: itself."""
        return target

    def decode(self, logits: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]."""
        return logits.sigmoid()

    def prior_logits(self, share: float) -> Float[Tensor, "1"]:
        """Return the logit of ``share``."""
        return torch.tensor([math.log(share / (1 - share))])


class TwoClassHead:
    """Two channels, softmax: foreground and background. Targets may be grey.

    Args:
        channels: channels of the logits; the model's ``out_channels`` is interpolated from here.
    Raises:
        ValueError: if ``channels`` is not 2.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018), code: channel 0 is the foreground. Differs: nothing.
    """

    name: ClassVar[str] = "two_class"

    def __init__(self, channels: int = 2) -> None:
        if channels != 2:
            raise ValueError(f"the two_class head has two channels, got channels = {channels}.")
        self.channels = channels

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 h w"]:
        """Turn an image in [0, 1] into the probabilities of foreground and background."""
        return torch.cat([target, 1 - target], dim=1)

    def decode(self, logits: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]: the softmax probability of the foreground."""
        return logits.softmax(dim=1)[:, :1]

    def prior_logits(self, share: float) -> Float[Tensor, "2"]:
        """Return the logarithms of ``share`` and ``1 - share``."""
        return torch.tensor([math.log(share), math.log(1 - share)])
