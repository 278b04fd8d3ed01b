"""What the network's channels mean: how a target becomes channels and logits become an image."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.errors import InvalidValue
from spt.precision import at_least_float32


class Head(ABC):
    """Gives the network's channels their meaning; a head of one's own is a subclass.

    Attributes:
        name: of the head; losses list the heads they go with by it.
        like: name of a head of the project with the same channels and encoded target, or nothing. Losses that go with
            that head then go with this one too.
        gives_probabilities: whether the image is the probability that a pixel is lit, so that it can be calibrated.
        channels: channels of the logits.
        activation: ``sigmoid`` or ``softmax``, how losses that read both turn logits into probabilities.
    """

    name: ClassVar[str]
    like: ClassVar[str] = ""
    gives_probabilities: ClassVar[bool] = True
    channels: int
    activation: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels} channel{'' if self.channels == 1 else 's'}, {self.activation})"

    @abstractmethod
    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Tensor:
        """Turn an image in [0, 1] into what the loss compares the logits with."""

    @abstractmethod
    def decode(self, logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1], in at least float32."""

    @abstractmethod
    def prior_logits(self, share: float) -> Float[Tensor, " c"]:
        """Return the logits of an image that has the value ``share`` everywhere."""

    def logit_metrics(self, logits: Float[Tensor, "b c h w"], encoded: Tensor) -> dict[str, Float[Tensor, " b"]]:
        """Return metrics that need the logits, one value an image, by name; none unless a head has some."""
        return {}


class BinaryHead(Head):
    """One channel, sigmoid: the probability that a pixel is lit. Targets may be grey.

    Args:
        channels: channels of the logits; the model's ``out_channels`` is interpolated from here.
        activation: of the logits; the loss's ``activation`` is interpolated from here.
    Raises:
        InvalidValue: if ``channels`` is not 1 or ``activation`` not sigmoid.
    """

    name = "binary"

    def __init__(self, channels: int = 1, activation: str = "sigmoid") -> None:
        if channels != 1:
            raise InvalidValue(f"the binary head has one channel, got channels = {channels}.")
        self.channels, self.activation = channels, _only("sigmoid", activation, self.name)

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn an image in [0, 1] into what the loss compares the logits with: itself."""
        return target

    def decode(self, logits: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]."""
        return at_least_float32(logits).sigmoid()

    def prior_logits(self, share: float) -> Float[Tensor, "1"]:
        """Return the logit of ``share``."""
        return torch.tensor([math.log(share / (1 - share))])


class TwoClassHead(Head):
    """Two channels, softmax: foreground and background. Targets may be grey.

    Args:
        channels: channels of the logits; the model's ``out_channels`` is interpolated from here.
        activation: of the logits; the loss's ``activation`` is interpolated from here.
    Raises:
        InvalidValue: if ``channels`` is not 2 or ``activation`` not softmax.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018), code: channel 0 is the foreground.
    """

    name = "two_class"

    def __init__(self, channels: int = 2, activation: str = "softmax") -> None:
        if channels != 2:
            raise InvalidValue(f"the two_class head has two channels, got channels = {channels}.")
        self.channels, self.activation = channels, _only("softmax", activation, self.name)

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 h w"]:
        """Turn an image in [0, 1] into the probabilities of foreground and background."""
        return torch.cat([target, 1 - target], dim=1)

    def decode(self, logits: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]: the softmax probability of the foreground."""
        return at_least_float32(logits).softmax(dim=1)[:, :1]

    def prior_logits(self, share: float) -> Float[Tensor, "2"]:
        """Return the logarithms of ``share`` and ``1 - share``."""
        return torch.tensor([math.log(share), math.log(1 - share)])


class GreyLevelsHead(Head):
    """One softmax class for each grey level, k / (K - 1) for k = 0 ... K - 1: the notes' multi-class view of an image.

    Targets are class indices, so that no one-hot copy of (b, K, h, w) is ever made: at K = 256 it would be 256 images.

    Args:
        channels: number of levels K, 2 to 256; the model's ``out_channels`` is interpolated from here.
        activation: of the logits; the loss's ``activation`` is interpolated from here.
        image: ``expected`` decodes to the mean level, ``most_likely`` to the level of the greatest logit, which has no
            gradient.
    Raises:
        InvalidValue: if a value lies outside.
    """

    name = "grey_levels"
    gives_probabilities = False  # the image is a brightness

    def __init__(self, channels: int = 256, activation: str = "softmax", image: str = "expected") -> None:
        if image not in ("expected", "most_likely"):
            raise InvalidValue(f"image of the grey_levels head must be expected or most_likely, got {image}.")
        self.channels, self.activation = _several(channels, self.name), _only("softmax", activation, self.name)
        self.image = image

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Int[Tensor, "b h w"]:
        """Turn an image in [0, 1] into the index of the nearest level, at most 1 / (2 (K - 1)) away."""
        return (target[:, 0].float() * (self.channels - 1)).round().long()

    def decode(self, logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]: the expected level, or the most likely one, in at least float32."""
        x = at_least_float32(logits)
        if self.image == "most_likely":
            return x.argmax(dim=1, keepdim=True).to(x.dtype) / (self.channels - 1)
        levels = torch.linspace(0, 1, self.channels, dtype=x.dtype, device=x.device)
        return (x.softmax(dim=1) * levels[:, None, None]).sum(dim=1, keepdim=True)

    def prior_logits(self, share: float) -> Float[Tensor, " c"]:
        """Return the logits of the broadest distribution of levels whose mean is ``share``.

        It is the geometric one, logits slope * k. On any image of that mean its cross-entropy is its own entropy and so
        never above that of equal logits, which a distribution peaked at ``share`` would be on black and white images.
        """
        levels = torch.arange(self.channels, dtype=torch.float64)
        low, high = -100.0, 100.0
        for _ in range(100):
            slope = (low + high) / 2
            mean = float((slope * levels).softmax(0) @ levels) / (self.channels - 1)
            low, high = (slope, high) if mean < share else (low, slope)
        return (slope * levels).float()

    def logit_metrics(self, logits: Float[Tensor, "b c h w"], encoded: Int[Tensor, "b h w"]) -> dict[str, Tensor]:
        """Share of the pixels of every image whose level is the most likely, and among the five most likely."""
        from spt.metrics import top_k_accuracy  # pulls in torchmetrics: seconds that a prediction need not wait

        return {f"top{k}": top_k_accuracy(logits, encoded, k) for k in (1, 5) if k < self.channels}


class MultiLabelHead(Head):
    """Independent sigmoids, a thermometer: label k = 0 ... c - 1 says that the pixel is at least (k + 1/2) / c bright.

    Args:
        channels: number of labels c, 2 to 256; the model's ``out_channels`` is interpolated from here.
        activation: of the logits; the loss's ``activation`` is interpolated from here.
    Raises:
        InvalidValue: if a value lies outside.
    """

    name = "multi_label"
    gives_probabilities = False  # the image is a brightness

    def __init__(self, channels: int = 16, activation: str = "sigmoid") -> None:
        self.channels, self.activation = _several(channels, self.name), _only("sigmoid", activation, self.name)

    def encode(self, target: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """Turn an image in [0, 1] into the labels 0 and 1 of every pixel."""
        steps = torch.arange(self.channels, device=target.device) + 0.5
        return (target >= (steps / self.channels)[:, None, None]).to(target.dtype)

    def decode(self, logits: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Turn logits into an image in [0, 1]: the mean probability, within 1 / (2 c) where every label is right."""
        return at_least_float32(logits).sigmoid().mean(dim=1, keepdim=True)

    def prior_logits(self, share: float) -> Float[Tensor, " c"]:
        """Return the logit of ``share`` for every label, which is exact for black and white images."""
        return torch.full((self.channels,), math.log(share / (1 - share)))


def _only(allowed: str, activation: str, head: str) -> str:
    if activation != allowed:
        raise InvalidValue(f"the {head} head reads its logits by {allowed}, got activation = {activation}.")
    return activation


def _several(channels: int, head: str) -> int:
    if not 2 <= channels <= 256:
        raise InvalidValue(f"the {head} head has 2 to 256 channels, got channels = {channels}.")
    return channels
