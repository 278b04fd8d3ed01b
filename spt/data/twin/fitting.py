"""A twin from measured pairs."""

import math

import torch
from jaxtyping import Float
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation, Spectra
from spt.errors import InvalidValue
from spt.optics.twin import (
    STAGES,
    FittedTwin,
    Measured,
    Twin,
    TwinNoise,
    fit_twin,
    noise_statistics,
    predicted,
)

PIECE = 32
"""Frames that are prepared at once."""


def check_twin(preparation: Preparation, image: tuple[int, int] | None = None) -> None:
    """Refuse what a twin cannot predict.

    Args:
        preparation: of the frames.
        image: size of the prepared objects [px]; None where it is not known yet.
    Raises:
        InvalidValue: naming the setting.
    """
    if not isinstance(preparation, Spectra):
        raise InvalidValue(
            f"data.twin predicts spectra, and data.preparation is {type(preparation).__name__}. Choose "
            "preparation@data.preparation=spectra."
        )
    if preparation.blocks is None:
        raise InvalidValue("a twin predicts the small image too. Set data.preparation.blocks=16.")
    if image is not None and image[0] != image[1]:
        raise InvalidValue(
            f"a twin needs square objects, and these have {image[0]}x{image[1]} px. Set data.preparation.target.crop."
        )


def fit_to_pairs(train: Pairs, preparation: Spectra) -> FittedTwin:
    """Fit a twin to measured pairs, with a progress bar.

    Args:
        train: measured pairs with prepared objects, square ones.
        preparation: fitted to them.
    Raises:
        InvalidValue: if the fit does not converge.
    """
    grid = preparation.grid()
    numbers = {name: k for k, name in enumerate(sorted(set(train.diffuser.tolist())))}
    diffuser = torch.tensor([numbers[name] for name in train.diffuser.tolist()])
    parts = [slice(start, min(start + PIECE, len(train))) for start in range(0, len(train), PIECE)]
    made = [measured_spectra(preparation, train.speckle[part]) for part in parts]
    objects = torch.cat([train.images(part.start, part.stop)[:, 0] for part in parts])
    spectra, small = (torch.cat([one[k] for one in made]) for k in (0, 1))
    twin = Twin(objects.shape[1], grid, 2 * float(grid.radius().amax()) / objects.shape[1])
    steps = sum(stage.steps for stage in STAGES)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("Fitting the twin", total=steps)

        def advance(said: str) -> None:
            progress.update(task, advance=1, description=f"Fitting the twin, {said}")

        diffusers = fit_twin(twin, Measured(objects, spectra, small, diffuser), STAGES, advance=advance)
    with torch.no_grad():
        model, model_small = predicted(twin, objects, diffusers(diffuser))
    rest, small_rest = spectra - model, small - model_small
    noise = TwinNoise(grid, noise_statistics(grid, rest, small_rest, diffuser))
    facts = {
        "pairs": len(train),
        "diffusers": len(numbers),
        "residual": rest.square().mean().item(),
        "small_residual": small_rest.square().mean().item(),
        "spread": {k: v if math.isfinite(v) else None for k, v in diffusers.spread().items()},
    }
    return FittedTwin(twin, diffusers, noise, facts)


def in_words(fitted: FittedTwin) -> str:
    """What was found, for the log."""
    twin, facts = fitted.twin, fitted.facts
    pitch = twin.scale.detach().exp().mean().item()
    return (
        f"Twin of the set-up: fitted to {facts['pairs']} pairs behind {facts['diffusers']} diffusers. Mean square "
        f"residual of a log spectrum {facts['residual']:.4f}. An object pixel is {pitch:.4f} cycles/px wide in the "
        f"spectrum; Fresnel distance lambda z = {twin.distance.detach().exp().item():.2f} object px^2."
    )


@torch.no_grad()
def measured_spectra(preparation: Spectra, speckle: Tensor) -> tuple[Float[Tensor, "b k p q"], Float[Tensor, "b m m"]]:
    """Logs of the spectra and of the small image of recorded frames (b, h, w)."""
    channels = preparation.channels_of(speckle[:, None])
    return channels[:, :-1], preparation.small(preparation.light(speckle[:, None]))[:, 0]
