"""Pictures of the inside of a network."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spt.evaluation.inside.attention import AttentionMap
from spt.evaluation.inside.features import strongest
from spt.evaluation.inside.gradients import side

ACROSS = (5, 7)
"""Least and greatest number of panels in a row."""

CHANNELS = 8
"""Channels that are drawn of a stage."""


@dataclass(frozen=True)
class Seen:
    """What is drawn of one frame.

    Args:
        speckle: the network's input.
        image: the predicted image.
        truth: the object, where it is known.
        pixel: y and x in the image [px].
        saliency: gradient of the pixel with respect to the input.
        field: effective receptive field of the image's centre.
        attention: of each layer; empty where the network has none.
    """

    speckle: Float[Tensor, "h w"]
    image: Float[Tensor, "p q"]
    truth: Float[Tensor, "p q"] | None
    pixel: tuple[int, int]
    saliency: Float[Tensor, "h w"]
    field: Float[Tensor, "h w"]
    attention: Sequence[AttentionMap]

    @property
    def place(self) -> tuple[float, float]:
        """Centre of the pixel, each axis from 0 to 1."""
        height, width = self.image.shape
        return (self.pixel[0] + 0.5) / height, (self.pixel[1] + 0.5) / width


def overview(seen: Seen, title: str) -> Figure:
    """Draw speckle, image, object, saliency, receptive field, and what the pixel reads in every attention layer."""
    across = min(max(ACROSS[0], len(seen.attention)), ACROSS[1])
    rows = 1 + -(-len(seen.attention) // across)
    figure = Figure(figsize=(2.4 * across, 2.7 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, across, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    axes = list(grid[0])
    figure.suptitle(f"{title}, pixel y = {seen.pixel[0]}, x = {seen.pixel[1]} (cross)", fontsize=11)
    _show(axes.pop(0), seen.speckle, "network input", seen.place)
    _show(axes.pop(0), seen.image, "predicted image", seen.place, cmap="gray", vmin=0, vmax=1)
    if seen.truth is not None:
        _show(axes.pop(0), seen.truth, "object", seen.place, cmap="gray", vmin=0, vmax=1)
    _show(axes.pop(0), seen.saliency.abs(), "saliency: |gradient|", seen.place, cmap="magma")
    _show(axes.pop(0), seen.field, f"effective receptive field\nof the centre: side {side(seen.field):.0f} px", None)
    for ax, layer in zip(grid[1:].flat, seen.attention, strict=False):
        _attention(ax, seen, layer)
    return figure


def _attention(ax: Axes, seen: Seen, layer: AttentionMap) -> None:
    gate = "" if layer.gate is None else f", gate {layer.gate:.2g}"
    read = layer.read_by(seen.place)[0].cpu()
    _show(ax, read, f"attention: {layer.layer}\n{layer.keys[0]}x{layer.keys[1]} cells{gate}", seen.place)
    ax.set_xlabel(f"{read.min():.1%} to {read.max():.1%} a cell, all equal: {1 / read.numel():.1%}", fontsize=7)


def _show(
    ax: Axes, image: Tensor, title: str, place: tuple[float, float] | None, cmap: str = "viridis", **scale: float
) -> None:
    height, width = image.shape
    ax.imshow(image.numpy(), cmap=cmap, interpolation="nearest", **scale)  # type: ignore[arg-type]
    if place is not None:
        ax.plot(place[1] * width - 0.5, place[0] * height - 0.5, "+", color="red", ms=9, mew=1.3)
    ax.axis("on")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=8)


def stages(maps: dict[str, Float[Tensor, "_ _ _"]]) -> Figure:
    """Draw of every stage the channels whose pixels differ most, a row a stage."""
    figure = Figure(figsize=(1.25 * CHANNELS + 1.4, 1.3 * len(maps)), layout="constrained")
    for row, (name, channels) in zip(figure.subplots(len(maps), CHANNELS, squeeze=False), maps.items(), strict=True):
        shown = strongest(channels, CHANNELS)
        for ax, channel in zip(row, [*shown, *[None] * (CHANNELS - len(shown))], strict=True):
            ax.set(xticks=[], yticks=[])
            if channel is None:
                ax.axis("off")
                continue
            ax.imshow(channels[channel].numpy(), cmap="viridis", interpolation="nearest")
            ax.set_title(f"channel {channel}", fontsize=6, pad=2)
        size = f"{channels.shape[1]}x{channels.shape[2]} px"
        row[0].set_ylabel(f"{name}\n{len(channels)} x {size}", fontsize=7, rotation=0, ha="right", va="center")
    return figure
