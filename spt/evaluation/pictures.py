"""Contact sheets: speckle | prediction | truth | error, one block an image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from spt.files import atomic
from spt.metrics import pcc

COLUMNS = ("speckle", "prediction", "truth", "error")
TILE = 128
GAP = 4
HEADER = 44

RGB = UInt8[np.ndarray, "_ _ 3"]


def contact_sheet(
    speckle: Tensor,
    pred: Float[Tensor, "n 1 h w"],
    target: Float[Tensor, "n 1 h w"],
    title: str,
    across: int = 2,
    names: Sequence[str] = (),
) -> RGB:
    """Draw rows of speckle | prediction | truth | error, ``across`` samples side by side.

    Speckles are stretched from 0 to their 99.5th percentile, predictions and truths run from 0 (black) to 1 (white),
    errors (prediction minus truth) from -1 (blue) over 0 (white) to 1 (red). The PCC stands on each prediction; NaN
    where it is not finite, and then its pixels are black.

    Args:
        speckle: recorded intensities (n, h, w).
        pred: reconstructed images in [0, 1].
        target: true images in [0, 1].
        title: what the sheet shows.
        across: samples in a row.
        names: written on each speckle; none where empty.
    """
    step, rows = TILE + GAP, -(-len(speckle) // across)
    block = 4 * step + 2 * GAP
    sheet = Image.new("RGB", (across * block - GAP, HEADER + rows * step), "white")
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(16), ImageFont.load_default(12)
    draw.text((GAP, 3), title, "black", large)
    for column in range(across * 4):
        x = column // 4 * block + column % 4 * step + TILE // 2
        draw.text((x, HEADER - 3), COLUMNS[column % 4], "black", small, anchor="md")
    scores = pcc(pred, target)
    for i in range(len(speckle)):
        x, y = i % across * block, HEADER + i // across * step
        for k, tile in enumerate(tiles(speckle[i], pred[i, 0], target[i, 0])):
            image = ImageOps.contain(Image.fromarray(tile), (TILE, TILE), Image.Resampling.NEAREST)
            sheet.paste(image, (x + k * step, y))
        score = f"{scores[i]:.2f}" if pred[i].isfinite().all() else "NaN"
        draw.text((x + step + 3, y + 2), score, "yellow", small)
        if names:
            draw.text((x + 3, y + 2), names[i], "yellow", small, stroke_width=2, stroke_fill="black")
    return np.asarray(sheet)


def tiles(
    speckle: Shaped[Tensor, "h w"], pred: Float[Tensor, "p q"], target: Float[Tensor, "p q"]
) -> tuple[RGB, RGB, RGB, RGB]:
    """Colour the four pictures of one sample."""
    light = speckle.float()
    brightest = light.flatten().quantile(0.995).clamp(min=1e-12)
    error = (pred.float() - target.float()).clamp(-1, 1)
    red, blue = 1 + error.clamp(max=0), 1 - error.clamp(min=0)
    return (
        _grey(light / brightest),
        _grey(pred),
        _grey(target),
        _bytes(torch.stack([red, torch.minimum(red, blue), blue], dim=-1)),
    )


def _grey(image: Tensor) -> RGB:
    return _bytes(image[..., None].expand(-1, -1, 3))


def _bytes(image: Tensor) -> RGB:
    return (image.float().nan_to_num(0).clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def save(sheet: RGB, path: Path) -> Path:
    """Write a picture as PNG."""
    with atomic(path) as part:
        Image.fromarray(sheet).save(part, format="png")
    return path


def evenly(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` indices spread evenly over ``count`` samples."""
    return torch.linspace(0, count - 1, min(count, wanted)).round().long().unique().tolist()
