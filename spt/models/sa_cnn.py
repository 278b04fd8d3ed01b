"""SA-CNN: a convolutional U-Net armed with SAGAN self-attention."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.models.convolutions import conv_bn_relu
from spt.models.input_size import check_size
from spt.models.u_net import down_and_up

LEVELS = 6
DIVISOR = 2 ** (LEVELS - 1)
FIRST_ATTENTION = 2  # at 256 px the map there has 64x64 tokens, and the cost grows with their square


class SelfAttention(nn.Module):
    """Every pixel attends to every pixel; a learned gate, 0 at the start, adds the result to the map.

    Args:
        channels: channels of the map, at least 8: queries and keys have an eighth of them.
    Source: Zhang et al., Self-Attention Generative Adversarial Networks (2019), section 3, eq. (1)-(3).
        Differs: values keep all C channels and have no output convolution, as in the paper's first version.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return a map of the same shape."""
        q, k, v = (rearrange(f(x), "b d h w -> b 1 (h w) d") for f in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return x + self.gamma * rearrange(attended, "b 1 (h w) c -> b c h w", h=x.shape[-2])


class UpLevel(nn.Module):
    """Halve the channels, double the map bilinearly, then [skip, up] through 3x3 convolutions and the attention."""

    def __init__(self, out_channels: int, attention: nn.Module) -> None:
        super().__init__()
        o = out_channels
        self.narrow = conv_bn_relu(2 * o, o, 1)
        self.fuse = nn.Sequential(conv_bn_relu(2 * o, o, 3), conv_bn_relu(o, o, 3), conv_bn_relu(o, o, 3), attention)

    def forward(self, x: Float[Tensor, "b c h w"], skip: Float[Tensor, "b o h2 w2"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at the skip's size and channels."""
        x = F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([skip, x], dim=1))


class SACNN(nn.Module):
    """SA-CNN-style network; with ``attention_levels=(5,)`` SA-CNN-Single.

    Speckle (b, 1, h, w) to logits (b, out_channels, h, w); h and w are multiples of 32. Level i has the map at
    1/2**i of the size and ``width * 2**i`` channels; level 5 is the bottleneck.

    Args:
        in_channels: channels of the speckle.
        out_channels: channels of the logits, as the head asks.
        width: channels at full size.
        attention_levels: levels that end in self-attention, on the way down and on the way up; 2 to 5. Its cost grows
            with the square of the pixels: made for 256 px, where level 2 has 64x64 tokens.
    Raises:
        InvalidValue: if a level is out of range, the width too small, or the input's size no multiple of 32.
    Source: Wang et al., Opt. Express 29, 35702 (2021): self-attention armed CNN, attention in the middle layer only for
        -Single. Differs: the layer list is not available. Widths, convolutions per level and attention levels are
        CALIBRATED to the printed counts: 14,001,512 parameters (published 13.9231e6) and 13.92 GMAC at 256 px
        (17.4204e9 printed); -Single 13,515,986 (13.5972e6) and 9.50 GMAC (8.9002e9). The attention is SAGAN's, our
        choice.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 24,
        attention_levels: Sequence[int] = (2, 3, 4, 5),
    ) -> None:
        super().__init__()
        wrong = [level for level in attention_levels if not FIRST_ATTENTION <= level < LEVELS]
        if wrong:
            raise InvalidValue(
                f"attention_levels must lie in {FIRST_ATTENTION}..{LEVELS - 1}, got {list(attention_levels)}: "
                "above, a 256 px image would have more than 64x64 tokens."
            )
        least = max(1, 8 // 2 ** min(attention_levels, default=LEVELS))
        if width < least:
            raise InvalidValue(
                f"width must be at least {least}, got {width}: the attention's queries have an eighth of its channels."
            )
        widths = [width * 2**level for level in range(LEVELS)]

        def attention(level: int) -> nn.Module:
            return SelfAttention(widths[level]) if level in attention_levels else nn.Identity()

        self.encoder = nn.ModuleList()
        for level, o in enumerate(widths):
            convolutions = [conv_bn_relu(in_channels if level == 0 else o // 2, o, 3)]
            if level < LEVELS - 1:
                convolutions.append(conv_bn_relu(o, o, 3))
            self.encoder.append(nn.Sequential(*convolutions, attention(level)))
        self.decoder = nn.ModuleList(UpLevel(widths[level], attention(level)) for level in reversed(range(LEVELS - 1)))
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, speckle: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Return the logits."""
        check_size(speckle, DIVISOR, "SACNN", self.training)
        return self.head(down_and_up(speckle, self.encoder, self.decoder))
