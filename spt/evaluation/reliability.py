"""The reliability diagram: predicted probability against the share of lit pixels, above how many pixels there are."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from spt.evaluation.pictures import RGB
from spt.metrics import calibration_error

BLUE, RED = "#3465a4", "#cc4125"


def reliability_diagram(sums: Float[Tensor, "3 bins"], title: str) -> RGB:
    """Draw the bins of :func:`spt.metrics.reliability`, summed over images.

    Above: the share of lit pixels of each bin (blue) over its mean probability, and its distance (red) from the
    diagonal, where predictions are true. Below: pixels of each bin, logarithmic. Bins without pixels stay empty.

    Args:
        sums: pixels, summed probability and lit pixels of every bin.
        title: what the diagram shows; the calibration error is added.
    """
    error = calibration_error(sums).item()
    pixels, probability, lit = sums.double().cpu().numpy()
    figure = Figure(figsize=(5, 5.6), dpi=120)
    canvas = FigureCanvasAgg(figure)
    margins = {"left": 0.13, "right": 0.96, "bottom": 0.08, "top": 0.91, "hspace": 0.06}
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1), gridspec_kw=margins)
    figure.suptitle(f"{title}\nexpected calibration error {error:.4f}", fontsize=10)
    _shares(above, pixels, probability, lit)
    _histogram(below, pixels)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _shares(axes: Axes, pixels: np.ndarray, probability: np.ndarray, lit: np.ndarray) -> None:
    count = np.where(pixels > 0, pixels, np.nan)  # the line is broken where a bin is empty
    mean, share = probability / count, lit / count
    axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1, label="true probabilities")
    axes.vlines(mean, mean, share, color=RED, linewidth=3, alpha=0.6, label="gap")
    axes.plot(mean, share, "o-", color=BLUE, markersize=5, linewidth=1, clip_on=False, label="prediction")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of lit pixels")
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)


def _histogram(axes: Axes, pixels: np.ndarray) -> None:
    edges = np.linspace(0, 1, len(pixels) + 1)
    axes.bar(edges[:-1], pixels, width=1 / len(pixels), align="edge", color=BLUE, edgecolor="white")
    axes.set(yscale="log", ylim=(0.7, None), xlabel="predicted probability", ylabel="pixels")
    axes.yaxis.set_minor_locator(NullLocator())  # the minor ticks of a logarithm take half the time of a picture
    axes.grid(alpha=0.3)
