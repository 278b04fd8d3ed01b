"""The figure of speckle statistics: curves only, one colour a diffuser."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spt.evaluation.speckle.frame_statistics import BINS, SpeckleStatistics
from spt.files import atomic


def draw(measured: Sequence[SpeckleStatistics], across: Sequence[Float[Tensor, " _"]]) -> Figure:
    """Draw histogram, autocorrelation, spectrum, contrast, envelope, correlations of frames, and with the objects.

    Args:
        measured: one colour each.
        across: correlations with the frames of the set's other diffusers, for each; empty where there are none.
    """
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    axes = figure.subplots(2, 4).flat
    panels: list[Callable[[Axes, SpeckleStatistics, str], None]] = [
        _histogram,
        _autocorrelation,
        _spectrum,
        _contrast,
        _envelope,
        _correlations,
        _leaks,
    ]
    for panel, ax in zip(panels, axes, strict=False):
        for k, statistics in enumerate(measured):
            panel(ax, statistics, f"C{k}")
    _theory(axes[0], measured)
    for k, values in enumerate(across):
        if len(values):
            _steps(axes[5], values, f"C{k}", "--")
    axes[1].axhline(0.5, color="0.7", lw=0.8)
    for ax, title in zip(axes, TITLES, strict=False):
        ax.set_title(title, fontsize=10)
    handles = [axes[4].plot([], [], f"C{k}", label=s.name)[0] for k, s in enumerate(measured)]
    axes[7].axis("off")
    axes[7].legend(handles=handles, loc="center", fontsize=9, frameon=False)
    return figure


TITLES = (
    "intensity histogram\n(black: exponential; dotted: gamma of order M)",
    "autocorrelation of the intensity\n(solid along x, dashed along y)",
    "power spectrum, radial mean",
    "contrast of the frames\n(envelope removed)",
    "envelope\n(solid along x, dashed along y)",
    "PCC of two frames\n(dashed: other diffuser of the set)",
    "PCC of speckle and object\n(dashed: objects of other frames)",
)


def _histogram(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    ax.stairs(s.histogram.numpy(), BINS.numpy(), color=colour)
    ax.set(yscale="log", ylim=(1e-4, 2), xlim=(0, 7), xlabel="I / <I>", ylabel="density")


def _theory(ax: Axes, measured: Sequence[SpeckleStatistics]) -> None:
    x = torch.linspace(0.02, 7, 300)
    ax.plot(x, torch.exp(-x), "k", lw=0.8)
    for k, s in enumerate(measured):
        gamma = torch.distributions.Gamma(s.order, s.order)
        ax.plot(x, gamma.log_prob(x).exp(), f"C{k}:", lw=0.9)


def _autocorrelation(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    middle = len(s.autocorrelation) // 2
    lags = torch.arange(middle + 1)
    ax.plot(lags, s.autocorrelation[middle, middle:], color=colour, marker=".", ms=3)
    ax.plot(lags, s.autocorrelation[middle:, middle], color=colour, ls="--", lw=0.9)
    ax.set(xlim=(0, min(16, middle)), xlabel="lag [px]")


def _spectrum(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    frequency, power = s.spectrum
    ax.semilogy(frequency[1:], power[1:] * s.size[0] * s.size[1], color=colour)
    ax.set(xlabel="spatial frequency [cycles / px]", ylabel="power of a frame of variance 1")


def _contrast(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    ax.plot(s.flat_contrast, ".", color=colour, ms=2)
    ax.set(xlabel="frame", ylim=(0, 1.5))


def _envelope(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    for profile, style in zip(s.profiles, ("--", "-"), strict=True):
        ax.plot(torch.linspace(0, 1, len(profile)), profile, color=colour, ls=style, lw=1)
    ax.set(xlabel="position / side", ylabel="mean intensity / greatest", ylim=(0, 1))


def _correlations(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    if len(s.correlations):
        _steps(ax, s.correlations, colour, "-")
    ax.set(xlabel="PCC", ylabel="density", yscale="log")


def _steps(ax: Axes, values: Float[Tensor, " n"], colour: str, style: str) -> None:
    ax.hist(values.numpy(), [k / 50 for k in range(-15, 51)], density=True, histtype="step", color=colour, ls=style)


def _leaks(ax: Axes, s: SpeckleStatistics, colour: str) -> None:
    blur = [leak.blur for leak in s.leaks]
    ax.errorbar(blur, [leak.own for leak in s.leaks], [leak.sem for leak in s.leaks], color=colour)
    ax.plot(blur, [leak.null for leak in s.leaks], color=colour, ls="--")
    ax.set(xlabel="blur of the speckle, sigma [px]")


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    with atomic(path) as part:
        figure.savefig(part, format="png", dpi=90)
    return path
