"""A twin from measured pairs."""

import math

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from spt.data.pairs import Pairs, images
from spt.data.preparation import Preparation, Spectra
from spt.data.preparation.base import PIECE
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
    check_twin(preparation, (train.target.shape[1], train.target.shape[2]))
    grid, measured = preparation.grid(), measure(train, preparation)
    twin = Twin(train.target.shape[1], grid, 2 * float(grid.radius().amax()) / train.target.shape[1])
    steps = sum(stage.steps for stage in STAGES)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("Fitting the twin", total=steps)

        def advance(said: str) -> None:
            progress.update(task, advance=1, description=f"Fitting the twin, {said}")

        diffusers = fit_twin(twin, measured, STAGES, advance=advance)
    with torch.no_grad():
        model, model_small = predicted(twin, measured.objects, diffusers(measured.diffuser))
    rest, small_rest = measured.spectra - model, measured.small - model_small
    noise = TwinNoise(grid, noise_statistics(grid, rest, small_rest, measured.diffuser))
    facts = {
        "pairs": len(train),
        "diffusers": sorted(set(train.diffuser.tolist())),
        "residual": rest.square().mean().item(),
        "small_residual": small_rest.square().mean().item(),
        "spread": {k: v if math.isfinite(v) else None for k, v in diffusers.spread().items()},
    }
    return FittedTwin(twin, diffusers, noise, facts)


def in_sentences(fitted: FittedTwin) -> list[str]:
    """What was found."""
    twin, facts, (y, x) = fitted.twin, fitted.facts, fitted.twin.pitch
    return [
        f"Fitted to {facts['pairs']} pairs behind {len(facts['diffusers'])} diffusers.",
        f"An object pixel is {y:.4f} (y) and {x:.4f} (x) cycles/px wide in the spectrum.",
        f"Fresnel distance between object and diffuser: lambda z = {twin.fresnel_distance:.2f} object px^2.",
        f"Objects let light through above a grey value of {twin.threshold.item():.2f}.",
        f"Mean square residual of a log spectrum, training pairs: {facts['residual']:.4f}.",
    ]


@torch.no_grad()
def measure(pairs: Pairs, preparation: Spectra) -> Measured:
    """Spectra and small images of recorded pairs, some frames after the other; diffusers are numbered from 0.

    Args:
        pairs: with prepared objects.
        preparation: fitted.
    """
    numbers = {name: k for k, name in enumerate(sorted(set(pairs.diffuser.tolist())))}
    parts = torch.arange(len(pairs)).split(PIECE)
    made = [preparation.windows_and_small(pairs.speckle[part][:, None]) for part in parts]
    return Measured(
        objects=torch.cat([images(pairs.target[part])[:, 0] for part in parts]),
        spectra=torch.cat([spectra for spectra, _ in made]),
        small=torch.cat([small[:, 0] for _, small in made if small is not None]),
        diffuser=torch.tensor([numbers[name] for name in pairs.diffuser.tolist()]),
    )
