"""Pre-BatchNorm convolutions and the puffed (down) and leaky (up) sampling pipelines of the SpT networks."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def pre_bn_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    """BatchNorm, ReLU, then a convolution that keeps the size: the pre-BN unit."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
    )


class Residual(nn.Module):
    """``x + body(x)``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add the body's output to its input."""
        return x + self.body(x)


def bottleneck(in_channels: int, out_channels: int, reduction: int) -> nn.Module:
    """1x1 reduce, 3x3, 1x1 expand, each pre-BN; residual where the channels allow it.

    Source: He et al., Identity Mappings in Deep Residual Networks (2016), figure 4(e).
    """
    inner = out_channels // reduction
    body = nn.Sequential(
        pre_bn_conv(in_channels, inner, 1), pre_bn_conv(inner, inner, 3), pre_bn_conv(inner, out_channels, 1)
    )
    return Residual(body) if in_channels == out_channels else body


class PuffedDown(nn.Module):
    """Halve the map and double the channels: max-pool, then two 3x3 convolutions or a 1x1 and a Bottleneck."""

    def __init__(self, in_channels: int, out_channels: int, use_bottleneck: bool) -> None:
        super().__init__()
        i, o = in_channels, out_channels
        self.halve = nn.MaxPool2d(2)
        self.puff = (
            nn.Sequential(pre_bn_conv(i, o, 1), bottleneck(o, o, 4))
            if use_bottleneck
            else nn.Sequential(pre_bn_conv(i, o, 3), Residual(pre_bn_conv(o, o, 3)))
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at half the size."""
        return self.puff(self.halve(x))


class LeakyUp(nn.Module):
    """Halve the channels at low resolution, double the map bilinearly, let the skip leak in, fuse."""

    def __init__(self, out_channels: int, use_bottleneck: bool) -> None:
        super().__init__()
        o = out_channels
        self.narrow = pre_bn_conv(2 * o, o, 1)
        self.fuse = (
            nn.Sequential(bottleneck(2 * o, o, 8), bottleneck(o, o, 8)) if use_bottleneck else pre_bn_conv(2 * o, o, 1)
        )

    def forward(self, x: Float[Tensor, "b c h w"], skip: Float[Tensor, "b o h2 w2"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at the skip's size and channels."""
        x = F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([x, skip], dim=1))


class PlainDown(nn.Module):
    """Halve the map and double the channels by one strided 3x3 convolution: the puffed pipeline's ablation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at half the size."""
        return self.conv(F.relu(self.norm(x)))


class PlainUp(nn.Module):
    """Double the map by a transposed 2x2 convolution, append the skip, fuse by a 1x1 convolution."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2 * out_channels)
        self.conv = nn.ConvTranspose2d(2 * out_channels, out_channels, 2, stride=2, bias=False)
        self.fuse = pre_bn_conv(2 * out_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"], skip: Float[Tensor, "b o h2 w2"]) -> Float[Tensor, "b o h2 w2"]:
        """Return the map at the skip's size and channels."""
        return self.fuse(torch.cat([self.conv(F.relu(self.norm(x))), skip], dim=1))


SAMPLING: dict[str, tuple[Callable[[int, int], nn.Module], Callable[[int], nn.Module]]] = {
    "puffed": (partial(PuffedDown, use_bottleneck=False), partial(LeakyUp, use_bottleneck=False)),
    "bottleneck": (partial(PuffedDown, use_bottleneck=True), partial(LeakyUp, use_bottleneck=True)),
    "plain": (PlainDown, PlainUp),
}
"""Name to (down, up): halve and double the channels, double and halve the map."""
