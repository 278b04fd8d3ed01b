"""The fit of a twin to measured pairs: Adam, coarse to fine, then the differences between the diffusers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import itemgetter

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spt.errors import InvalidValue
from spt.optics.twin.model import NODES, Diffuser, Twin


@dataclass(frozen=True)
class Stage:
    """Some steps of the fit.

    Args:
        smoothness: weight of the maps' second differences.
        rate: greatest learning rate.
        steps: of Adam, with so many objects each.
        windows: whether each window has a map of its own.
        diffusers: whether the diffusers may differ.
    """

    smoothness: float
    rate: float
    steps: int
    windows: bool = True
    diffusers: bool = False


STAGES = (
    Stage(1e-4, 0.03, 250, windows=False),
    Stage(1e-5, 0.02, 250, windows=False),
    Stage(1e-7, 0.015, 500),
    Stage(1e-7, 0.01, 300, diffusers=True),
)
"""Smooth maps first: the fit then finds object size and distance before it explains noise."""

OBJECTS = 48
"""Of a step."""

CHUNK = 32
"""Objects that are predicted at once."""

NAMES = tuple(each.name for each in fields(Diffuser))


class Diffusers(nn.Module):
    """How each measured diffuser differs from their mean.

    Args:
        count: of the diffusers.
        windows: of the spectra, all together.
    """

    weights: nn.Parameter

    def __init__(self, count: int, windows: int) -> None:
        super().__init__()
        shapes = {
            "scale": (2,),
            "shift": (2,),
            "halo": (2,),
            "gain": (),
            "blur": (),
            "weights": (windows, NODES, NODES),
        }
        for name in NAMES:
            setattr(self, name, nn.Parameter(torch.zeros(count, *shapes[name])))

    def forward(self, numbers: Int[Tensor, " b"]) -> Diffuser:
        """The differences of some diffusers; their mean over all diffusers is zero."""
        return Diffuser(**{name: getattr(self, name) for name in NAMES}).each(lambda v: (v - v.mean(0))[numbers])

    def spread(self) -> dict[str, float]:
        """Standard deviation over the diffusers; NaN for one diffuser."""
        if len(self.weights) == 1:
            return dict.fromkeys(NAMES, math.nan)
        return {name: getattr(self, name).detach().std(0).square().mean().sqrt().item() for name in NAMES}


@dataclass(frozen=True)
class Measured:
    """Measured pairs as a twin predicts them.

    Args:
        objects: in [0, 1].
        spectra: logs of the spectra.
        small: logs of the small image.
        diffuser: number of each diffuser, from 0.
    """

    objects: Float[Tensor, "n s s"]
    spectra: Float[Tensor, "n k p q"]
    small: Float[Tensor, "n m m"]
    diffuser: Int[Tensor, " n"]


def fit_twin(
    twin: Twin,
    measured: Measured,
    stages: tuple[Stage, ...] = STAGES,
    seed: int = 0,
    advance: Callable[[str], object] = lambda said: None,
) -> Diffusers:
    """Fit a twin, in place.

    Args:
        twin: with its first guesses.
        measured: pairs of training diffusers.
        stages: one after the other.
        seed: of the order of the pairs.
        advance: told after each step how far it is, in words.
    Returns:
        The differences of the diffusers.
    Raises:
        InvalidValue: if the fit does not converge.
    """
    generator = torch.Generator().manual_seed(seed)
    diffusers = Diffusers(int(measured.diffuser.max()) + 1, twin.grid.windows**2)
    for stage in stages:
        free = [value for name, value in twin.named_parameters() if stage.windows or name != "weights"]
        if stage.diffusers:
            free += list(diffusers.parameters())
        optimizer = torch.optim.Adam(free, stage.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.rate, stage.steps, pct_start=0.1)
        for _ in range(stage.steps):
            rows = torch.randint(len(measured.objects), (OBJECTS,), generator=generator)
            known = diffusers(measured.diffuser[rows]) if stage.diffusers else None
            spectra, small = twin(measured.objects[rows], known)
            error = (spectra - measured.spectra[rows]).square().mean()
            light = (small - measured.small[rows]).square().mean()
            loss = error + 0.5 * light + _penalty(twin, stage.smoothness) + 3e-5 * diffusers.weights.square().sum()
            if not loss.isfinite():
                raise InvalidValue(
                    "the fit of the twin does not converge: its error became NaN. Check that speckles and objects "
                    "belong together (scripts/check_data.py), and that the frames are corrected."
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(f"error {error.item():.4f}")
    return diffusers


@torch.no_grad()
def predicted(
    twin: Twin, objects: Float[Tensor, "n s s"], diffuser: Diffuser | None = None
) -> tuple[Float[Tensor, "n k p q"], Float[Tensor, "n m m"]]:
    """What the twin predicts, some objects after the other."""
    known = diffuser or twin.mean_diffuser(len(objects))
    parts = [twin(objects[rows], known.each(itemgetter(rows))) for rows in torch.arange(len(objects)).split(CHUNK)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _penalty(twin: Twin, smoothness: float) -> Tensor:
    """Rough maps and large corrections cost something."""
    rough = torch.stack([_rough(maps) for maps in (twin.light, twin.tilted, twin.phase, twin.amplitude)]).sum()
    large = twin.weights.square().sum() + 0.1 * (twin.amplitude.square().sum() + twin.phase.square().sum())
    return smoothness * (rough + 20 * _rough(twin.weights) + large) + 0.01 * twin.transfer.square().mean()


def _rough(maps: Tensor) -> Tensor:
    return torch.stack([maps.diff(n=2, dim=axis).square().sum() for axis in (-2, -1)]).sum()
