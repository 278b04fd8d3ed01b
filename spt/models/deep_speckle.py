"""The deep speckle correlation network: a U-Net of dilated dense blocks."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.models.input_size import check_size
from spt.models.u_net import down_and_up

DIVISOR = 16
ENCODER = (64, 128, 256, 512, 1024)
DECODER = (512, 256, 128, 64)
GROWTH = 16


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # Keras' defaults, not torch's


def _conv_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True))


class DenseBlock(nn.Module):
    """Units of BatchNorm, ReLU, dilated 5x5 convolution, dropout; each sees all maps before it and appends its own."""

    def __init__(self, in_channels: int, units: int, dropout: float) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.Sequential(
                _batch_norm(channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, GROWTH, 5, padding=4, dilation=2),
                nn.Dropout(dropout),
            )
            for channels in range(in_channels, in_channels + units * GROWTH, GROWTH)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """Return the input with the units' maps appended last."""
        for unit in self.units:
            x = torch.cat([x, unit(x)], dim=1)
        return x


class UpLevel(nn.Module):
    """Nearest-neighbour x2 and a 2x2 convolution, then [skip, up] through a 3x3 convolution and a dense block."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Conv2d(in_channels, out_channels, 2)
        self.fuse = nn.Sequential(
            _conv_relu(skip_channels + out_channels, out_channels), DenseBlock(out_channels, 3, dropout)
        )

    def forward(self, x: Float[Tensor, "b i h w"], skip: Float[Tensor, "b s h2 w2"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at the skip's size."""
        # Keras "same" pads an even kernel on the right and the bottom.
        x = F.relu(self.up(F.pad(F.interpolate(x, scale_factor=2.0), (0, 1, 0, 1))))
        return self.fuse(torch.cat([skip, x], dim=1))


class DeepSpeckle(nn.Module):
    """Deep speckle correlation network.

    Speckle (b, 1, h, w) to logits (b, out_channels, h, w); h and w are multiples of 16. The defaults are the
    published network: 21,850,530 trainable parameters, two softmax channels, channel 0 the foreground.

    Args:
        in_channels: channels of the speckle.
        out_channels: channels of the logits, as the head asks.
        dropout: probability in all 32 dense units.
        l2: Keras L2 on the dense kernels and the BatchNorms' gamma and beta, see :meth:`parameter_groups`.
    Raises:
        InvalidValue: if dropout or l2 is out of range, or the input's size is no multiple of 16.
    Source: Li, Xue, Tian, Optica 5, 1181 (2018) and its Keras code. Differs: logits instead of softmax probabilities;
        the head applies the softmax.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 2, dropout: float = 0.5, l2: float = 1e-4) -> None:
        super().__init__()
        if not 0 <= dropout < 1 or not 0 <= l2 < float("inf"):
            raise InvalidValue(f"DeepSpeckle needs 0 <= dropout < 1 and l2 >= 0, got {dropout} and {l2}.")
        self.l2 = l2
        self.encoder = nn.ModuleList()
        skips, channels = [], in_channels
        for width in ENCODER:
            self.encoder.append(nn.Sequential(_conv_relu(channels, width), DenseBlock(width, 4, dropout)))
            channels = width + 4 * GROWTH
            skips.append(channels)
        self.decoder = nn.ModuleList()
        for width, skip in zip(DECODER, reversed(skips[:-1]), strict=True):
            self.decoder.append(UpLevel(channels, skip, width, dropout))
            channels = width + 3 * GROWTH
        self.head = nn.Sequential(_conv_relu(channels, 32), nn.Conv2d(32, out_channels, 1))
        self._initialise()

    def _initialise(self) -> None:
        """Initialise as the Keras code does.

        Source: he_uniform for the 5x5 convolutions, he_normal truncated at two sigma for the others before a ReLU,
            glorot_uniform for the last, zero biases, as in Keras 2.1.2, which has no variance correction.
        """
        convolutions = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        for conv in convolutions:
            fan_in = conv.weight[0].numel()
            if conv is self.head[-1]:
                nn.init.xavier_uniform_(conv.weight)
            elif conv.kernel_size == (5, 5):
                nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
            else:
                sigma = (2 / fan_in) ** 0.5
                nn.init.trunc_normal_(conv.weight, std=sigma, a=-2 * sigma, b=2 * sigma)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer: the published L2 on the dense kernels and BatchNorm parameters, nothing else.

        Keras' penalty ``l2 * w**2`` has the gradient ``2 l2 w``, which is ``torch.optim.Adam`` with
        ``weight_decay = 2 l2``; AdamW's decoupled decay is another thing.
        """
        dense = [m for m in self.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5)]
        norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
        regularised = [conv.weight for conv in dense] + [p for norm in norms for p in norm.parameters()]
        chosen = {id(parameter) for parameter in regularised}
        others = [parameter for parameter in self.parameters() if id(parameter) not in chosen]
        return [{"params": regularised, "weight_decay": 2 * self.l2}, {"params": others, "weight_decay": 0.0}]

    def forward(self, speckle: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Return the logits."""
        check_size(speckle, DIVISOR, "DeepSpeckle", self.training)
        return self.head(down_and_up(speckle, self.encoder, self.decoder))
