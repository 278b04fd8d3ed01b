"""Multi-head attention whose keys and values live on a fixed pooled grid: linear in the number of pixels."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from spt.errors import InvalidValue


def sinusoidal_encoding_2d(
    channels: int, height: int, width: int, device: torch.device | None = None
) -> Float[Tensor, "1 c h w"]:
    """Sine and cosine of the pixel centres, half of the channels for y and half for x, without parameters.

    Coordinates run over (0, 1) along each axis, so a map and its pooled copy share one frame and the same weights
    serve every image size. Angular frequencies are geometric from pi (half a period a map) to 8 pi (half a
    period a cell of an 8x8 grid: faster waves would average to nothing in the pooled keys).

    Args:
        channels: number of channels, divisible by 4.
        height: rows of the map.
        width: columns of the map.
        device: where the encoding is built.
    Raises:
        InvalidValue: if ``channels`` is not divisible by 4.
    Source: Vaswani et al., Attention Is All You Need (2017), section 3.5; two axes as in Carion et al., DETR (2020).
        Differs: normalised coordinates and a frequency range bound to the pooled grid instead of 10000^(2i/d).
    """
    if channels % 4:
        raise InvalidValue(f"2-D sinusoidal encoding needs channels divisible by 4, got {channels}.")
    frequency = math.pi * 8.0 ** torch.linspace(0, 1, channels // 4, device=device)
    y = _waves(frequency, height)[:, :, None].expand(-1, -1, width)
    x = _waves(frequency, width)[:, None, :].expand(-1, height, -1)
    return torch.cat([y, x])[None]


def _waves(frequency: Float[Tensor, " f"], pixels: int) -> Float[Tensor, "2*f n"]:
    """Sine and cosine of each frequency at the centres of ``pixels`` pixels over (0, 1)."""
    centre = (torch.arange(pixels, device=frequency.device) + 0.5) / pixels
    angle = frequency[:, None] * centre
    return torch.cat([angle.sin(), angle.cos()])


def pool_to_grid(x: Float[Tensor, "b c h w"], grid: int) -> Float[Tensor, "b c gh gw"]:
    """Average ``x`` onto at most ``grid`` x ``grid`` cells; a map that is no larger passes unchanged.

    The values of ``F.adaptive_avg_pool2d``, whose backward pass is not deterministic on CUDA.
    """
    h, w = x.shape[-2:]
    rows, columns = min(grid, h), min(grid, w)
    if h % rows == 0 and w % columns == 0:
        return F.avg_pool2d(x, (h // rows, w // columns))
    # Cells that do not divide the map overlap by a pixel: average by two small matrices.
    return torch.einsum("gy,bcyx,kx->bcgk", _averaging(h, rows, x), x, _averaging(w, columns, x))


def _averaging(pixels: int, cells: int, like: Tensor) -> Float[Tensor, "cells pixels"]:
    """Rows of equal weights over the pixels of each cell, floor(i n / cells) to ceil((i + 1) n / cells)."""
    at, cell = (torch.arange(n, device=like.device) for n in (pixels, cells))
    first, end = cell * pixels // cells, -(-(cell + 1) * pixels // cells)
    inside = ((at >= first[:, None]) & (at < end[:, None])).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def attend(
    q: Float[Tensor, "b n q d"], k: Float[Tensor, "b n k d"], v: Float[Tensor, "b n k d"]
) -> Float[Tensor, "b n q d"]:
    """Softmax attention, in float32 on a CPU: torch's kernel for 16-bit numbers takes longer there.

    Source: our measurement with torch 2.14.1, one thread of an Intel Xeon, other work beside: a training step of a SpT
    UNet of width 16 took 0.70 of the time, of width 64 0.94 (least of 8 and 5 steps in turn, CPU time).
    """
    if q.device.type != "cpu" or q.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(q, k, v)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float()).to(q.dtype)


class PooledAttention(nn.Module):
    """Multi-head attention of a query map to a context map, keys and values averaged onto a fixed grid.

    With one argument it is self-attention (MHA), with two cross-attention (MHCA). The cost is
    ``h * w * grid**2`` instead of ``(h * w)**2``. The position encoding is added to what queries and keys see,
    never to the values.

    Args:
        channels: channels of both maps and of the output.
        heads: number of heads; divides ``channels // 2``, the inner width.
        grid: side of the key and value grid.
        position_encoding: add the 2-D sinusoidal encoding.
        cross: keep a BatchNorm of its own for the context.
    Raises:
        InvalidValue: if ``heads`` does not divide the inner width.
    Source: efficient attention of Gao et al., UTNet (MICCAI 2021), section 2.2.
        Differs: average pooling in place of bilinear reduction, absolute sinusoidal in place of learned relative
        position, one BatchNorm for q, k and v.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 4,
        grid: int = 8,
        position_encoding: bool = True,
        cross: bool = False,
    ) -> None:
        super().__init__()
        inner = channels // 2
        if inner % heads:
            raise InvalidValue(f"heads = {heads} does not divide the inner width {inner} (channels // 2).")
        self.heads, self.grid, self.position_encoding = heads, grid, position_encoding
        self.attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attend
        self.norm = nn.BatchNorm2d(channels)
        self.norm_context = nn.BatchNorm2d(channels) if cross else None
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, inner, 1, bias=False)
        self.out = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "b c h w"], context: Float[Tensor, "b c hc wc"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        """Return the attended map, without the residual.

        Raises:
            ValueError: if a context is given to self-attention, or none to cross-attention.
        """
        if (context is None) != (self.norm_context is None):
            raise ValueError(
                "cross-attention (cross=True) takes a context map, self-attention (cross=False) takes none."
            )
        x = self.norm(x)
        context = x if self.norm_context is None else self.norm_context(context)
        q = self.query(self._placed(x))
        k = pool_to_grid(self.key(self._placed(context)), self.grid)
        v = pool_to_grid(self.value(context), self.grid)
        q, k, v = (rearrange(t, "b (n d) h w -> b n (h w) d", n=self.heads) for t in (q, k, v))
        attended = self.attend(q, k, v)
        return self.out(rearrange(attended, "b n (h w) d -> b (n d) h w", h=x.shape[-2]))

    def _placed(self, x: Tensor) -> Tensor:
        if not self.position_encoding:
            return x
        return x + sinusoidal_encoding_2d(x.shape[1], x.shape[2], x.shape[3], x.device).to(x.dtype)
