"""What the network's channels mean: how a target becomes channels and logits become an image."""

from jaxtyping import Float
from torch import Tensor


class BinaryHead:
    """One channel, sigmoid: the probability that a pixel is lit. Targets may be grey.

    Args:
        channels: channels of the logits; the model's ``out_channels`` is interpolated from here.
    Raises:
        ValueError: if ``channels`` is not 1.
    """

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
