"""How well a twin explains measured pairs, in a picture and in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Spectra
from spt.data.twin.fitting import in_sentences, measure
from spt.evaluation.speckle.figure import save
from spt.optics.twin import FittedTwin, predicted

SHOWN = 4
"""Held-out objects in the picture."""

EXPLAINED = 1.5
"""A residual below so many times the noise is called explained."""


@dataclass(frozen=True)
class HeldOut:
    """Pairs that took no part in the fit, and what the twin predicts of them.

    Args:
        objects: in [0, 1].
        measured: logs of the spectra.
        model: the same, of the mean diffuser.
        noise: mean square of what differs between two diffusers of one object, a measurement; None where no object
            was recorded behind two.
    """

    objects: Float[Tensor, "n s s"]
    measured: Float[Tensor, "n k p q"]
    model: Float[Tensor, "n k p q"]
    noise: float | None

    @property
    def residual(self) -> float:
        """Mean square of measured less predicted."""
        return (self.measured - self.model).square().mean().item()


def held_out(fitted: FittedTwin, pairs: Pairs, preparation: Spectra) -> HeldOut:
    """Measure and predict the spectra of pairs with prepared objects."""
    known = measure(pairs, preparation)
    measured = known.spectra
    model, _ = predicted(fitted.twin, known.objects)
    groups = [measured[pairs.object == number] for number in pairs.object.unique()]
    several = [group.var(0).mean().item() for group in groups if len(group) > 1]
    return HeldOut(known.objects, measured, model, float(np.mean(several)) if several else None)


def page_sentences(fitted: FittedTwin, known: HeldOut) -> list[str]:
    """What was found and what is left unexplained."""
    said = [
        *in_sentences(fitted),
        f"Mean square residual of a log spectrum, objects held out: {known.residual:.4f}.",
    ]
    if known.noise is None:
        said.append("The noise is not known: no object was recorded behind two diffusers.")
    else:
        words = (
            "Most of the residual is" if known.residual < EXPLAINED * known.noise else "A part of the residual is not"
        )
        said.append(f"Noise of a frame, from objects behind several diffusers: {known.noise:.4f}. {words} noise.")
    for name, value in fitted.facts["spread"].items():
        if value is not None:
            said.append(f"Spread over the diffusers, {SPREADS[name]}: {value:.3g}.")
    return said


SPREADS: Mapping[str, str] = {
    "scale": "width of the spectrum (log)",
    "shift": "shift of the object against the light [object px]",
    "halo": "shift of the light on the camera (half a frame is 1)",
    "gain": "strength of the spectra (log)",
    "blur": "edge of the spectra (log)",
    "weights": "light in each window (log)",
}
"""Name of a difference between diffusers to what it is."""


def draw(fitted: FittedTwin, known: HeldOut, path: Path) -> Path:
    """Write the picture: light, distance of model and measurement, and spectra of objects held out.

    Raises:
        OSError: if the file cannot be written.
    """
    twin, grid = fitted.twin, fitted.twin.grid
    figure = Figure(figsize=(10, 2.6 + 2.2 * SHOWN), layout="constrained")
    top, rest = figure.subfigures(2, 1, height_ratios=[1, 2.4], squeeze=False)[:, 0]
    with torch.no_grad():
        maps: dict[str, Any] = {
            "illumination of the object": twin.amplitude.exp().square(),
            "light on the diffuser that is seen": twin.light.exp(),
            "residual of each frequency (RMS)": (known.measured - known.model).square().mean((0, 1)).sqrt(),
            "transfer of the camera": twin.transfer.exp(),
        }
    for ax, (title, values) in zip(top.subplots(1, len(maps)), maps.items(), strict=True):
        _image(ax, values, title, high=values.quantile(0.98).item())  # maps are free where no object was
        ax.figure.colorbar(ax.images[0], ax=ax, shrink=0.8)
    middle = grid.windows**2 // 2
    rows = torch.linspace(0, len(known.objects) - 1, min(SHOWN, len(known.objects))).long().tolist()
    axes = rest.subplots(len(rows), 4, squeeze=False)
    titles = ("object, held out", "measured spectrum (log)", "predicted", "measured less predicted")
    for line, row in zip(axes, rows, strict=True):
        measured, model = known.measured[row, middle], known.model[row, middle]
        low, high = min(measured.min(), model.min()).item(), max(measured.max(), model.max()).item()
        limits = [(0.0, 1.0), (low, high), (low, high), (-0.5, 0.5)]
        shown = (known.objects[row], measured, model, measured - model)
        for ax, values, (a, b), title in zip(line, shown, limits, titles, strict=True):
            _image(ax, values, title if row == rows[0] else "", a, b)
    return save(figure, path)


def _image(ax: Axes, values: Tensor, title: str, low: float | None = None, high: float | None = None) -> None:
    ax.imshow(values.numpy(), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set_title(title, fontsize=8)
    ax.axis("off")


def as_numbers(fitted: FittedTwin, known: HeldOut) -> dict[str, Any]:
    """The same as JSON types."""
    twin = fitted.twin
    return {
        **fitted.facts,
        "held_out_residual": known.residual,
        "noise": known.noise,
        "pitch": list(twin.pitch),
        "fresnel_distance": twin.fresnel_distance,
        "threshold": twin.threshold.item(),
    }
