"""A picture of some pairs before and after their preparation."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.data.preparation.target import images
from spt.data.readers import evenly
from spt.evaluation.speckle.figure import save

MOST = 6
"""Pairs that are shown."""
COLUMNS = ("recorded speckle", "network input", "recorded object", "prepared object")


def draw(pairs: Pairs, preparation: Preparation, path: Path) -> Path:
    """Write a PNG file: a row a pair, recorded speckle, network input, recorded object, prepared object.

    Recorded speckles run from 0 to their 99.5th percentile, the network's input from its lowest to its highest value,
    objects from 0 (black) to 1 (white).

    Args:
        pairs: some split; the pairs are spread evenly over it.
        preparation: what is done with speckles and objects.
        path: the file.
    Raises:
        InvalidValue: if the pairs do not fit the preparation.
        OSError: if the file cannot be written.
    """
    preparation.fit(pairs.speckle, preparation.target.result((pairs.target.shape[1], pairs.target.shape[2])))
    rows = evenly(len(pairs), MOST)
    figure = Figure(figsize=(8.4, 2.3 * len(rows)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, row in zip(parts, rows, strict=True):
        speckle, objects = pairs.speckle[[row]], images(pairs.target[[row]])[:, 0]
        with torch.no_grad():
            shown = (
                speckle.float(),
                side_by_side(preparation(speckle[:, None])[0]),
                objects,
                preparation.target(objects),
            )
        brightest = max(shown[0].flatten()[:: -(-shown[0].numel() // 2**20)].quantile(0.995).item(), 1e-12)
        limits = [(0, brightest), (None, None), (0, 1), (0, 1)]
        part.suptitle(pairs.where(row), x=0.01, ha="left", fontsize=7)
        for ax, image, (low, high), title in zip(part.subplots(1, len(COLUMNS)), shown, limits, COLUMNS, strict=True):
            ax.imshow(_picture(image), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            ax.set_title(f"{title}\n{image.shape[-2]}x{image.shape[-1]} px", fontsize=8)
            ax.axis("off")
    return save(figure, path)


def side_by_side(channels: Float[Tensor, "c h w"]) -> Float[Tensor, "1 rows columns"]:
    """The channels of one input in one picture, row after row, as nearly square as they go; the rest is empty."""
    across = math.ceil(math.sqrt(len(channels)))
    rows = [torch.cat(list(row), -1) for row in channels.split(across)]
    return torch.cat([F.pad(row, (0, rows[0].shape[-1] - row.shape[-1]), value=math.nan) for row in rows])[None]


def _picture(image: Tensor) -> np.ndarray:
    return image[0].nan_to_num(0).numpy()
