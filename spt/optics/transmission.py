"""Media known by their transmission matrix: output field = matrix times input field."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spt.errors import InvalidValue
from spt.optics.draws import Generators, distinct, normal, shares
from spt.optics.precision import full_precision
from spt.optics.resampling import resized
from spt.optics.setup import Medium, Setup, known_modulation, modulated, square_objects


@dataclass(frozen=True)
class RandomMatrixSetup(Setup):
    """Objects shown on a modulator in front of a medium that mixes all modes: strong multiple scattering.

    Entries are independent circular complex Gaussian numbers: fully developed speckle, no memory effect, no ballistic
    light. A medium is kept as the seed of its matrix, which is built on the CPU and cached, the same on any device.

    Args:
        window: side of objects and intensities [px]; every pixel is an output mode.
        inputs: side of the modulator [px]; every pixel is an input mode. Objects are averaged down to it.
        modulation: ``phase`` or ``amplitude``.
    Raises:
        InvalidValue: if ``inputs`` does not lie in 1 .. ``window``, or ``modulation`` is unknown.
    Source: Popoff et al., Phys. Rev. Lett. 104, 100601 (2010). Differs: scaled so that the largest singular value is
        1 in the limit of a large matrix, as in a passive medium.
    """

    window: int
    inputs: int
    modulation: Literal["phase", "amplitude"] = "phase"

    def __post_init__(self) -> None:
        if not 1 <= self.inputs <= self.window:
            raise InvalidValue(f"inputs must lie between 1 and window = {self.window} px, got {self.inputs}.")
        known_modulation(self.modulation)

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` independent media: ``seed`` (n,) of each matrix, 64 bits."""
        seeds = np.concatenate([one.integers(-(2**63), 2**63, share) for one, share in shares(rng, count)])
        return {"seed": torch.from_numpy(seeds).to(device)}

    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Speckle intensity for objects in [0, 1], each behind its own medium."""
        square_objects(objects, self.window)
        field = modulated(resized(objects, self.inputs), self.modulation).flatten(1)
        out = field.new_zeros(len(field), self.window**2)
        seeds = medium["seed"].cpu()
        for seed in seeds.unique().tolist():
            which = (seeds == seed).nonzero()[:, 0].to(field.device)
            matrix = random_matrix(seed, self.window**2, self.inputs**2).to(field)
            with full_precision():
                out = out.index_copy(0, which, field[which] @ matrix.T)
        return out.abs().square().unflatten(1, (self.window, self.window))


@lru_cache(maxsize=8)
def random_matrix(seed: int, outputs: int, inputs: int) -> Complex[Tensor, "o i"]:
    """Random complex Gaussian transmission matrix; cached: do not write into it.

    Source: Marchenko-Pastur law for the largest singular value. Differs: nothing.
    """
    with torch.inference_mode(False):
        parts = normal(np.random.default_rng(seed % 2**64), (outputs, inputs, 2))
        return torch.view_as_complex(parts) / (math.sqrt(2) * (outputs**0.5 + inputs**0.5))


@dataclass(frozen=True, eq=False)
class ModeMatrixSetup(Setup):
    """Objects shown at the input of a multimode fibre whose transmission matrices are known between its modes.

    The object lights the first input polarisation. Every state of the fibre (a bend, a pressure) is a medium.

    Args:
        window: side of objects and intensities [px]; objects are resampled to the input basis, the light from the
            output basis.
        matrices: transmission matrices (states, 2 output modes, 2 input modes): the first half of either axis is one
            polarisation, the second half the other.
        modes_in: input modes on pixels (modes, pixels), orthonormal rows, a square number of pixels.
        modes_out: output modes on pixels.
        modulation: ``phase`` or ``amplitude``.
        polariser: record the first output polarisation alone; otherwise the sum of both.
    Raises:
        InvalidValue: if the shapes do not fit each other, or ``modulation`` is unknown.
    Source: Matthes et al., Phys. Rev. X 11, 021060 (2021): modal matrix = modes_out . pixel matrix . modes_in^H.
        Differs: whether fields or their conjugates were recorded is not documented; it changes nothing for amplitude
        objects and turns exp(i pi o) into exp(-i pi o) for phase objects.
    """

    window: int
    matrices: Complex[Tensor, "s o i"]
    modes_in: Complex[Tensor, "m p"]
    modes_out: Complex[Tensor, "k q"]
    modulation: Literal["phase", "amplitude"] = "phase"
    polariser: bool = False

    def __post_init__(self) -> None:
        known_modulation(self.modulation)
        if self.window < 1:
            raise InvalidValue(f"window must be at least 1 px, got {self.window}.")
        if self.matrices.ndim != 3 or self.matrices.shape[1:] != (2 * len(self.modes_out), 2 * len(self.modes_in)):
            raise InvalidValue(
                f"matrices must be (states, {2 * len(self.modes_out)}, {2 * len(self.modes_in)}), twice the output and "
                f"twice the input modes, got {tuple(self.matrices.shape)}."
            )
        for name, modes in (("modes_in", self.modes_in), ("modes_out", self.modes_out)):
            if round(modes.shape[1] ** 0.5) ** 2 != modes.shape[1]:
                raise InvalidValue(f"{name} must lie on a square of pixels, got {modes.shape[1]} of them.")

    @property
    def measured(self) -> bool:
        """The states were recorded."""
        return True

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` different states: ``state`` (n,).

        Raises:
            InvalidValue: if there are fewer states.
        """
        return {"state": torch.tensor(distinct(count, len(self.matrices), "states of the fibre", rng), device=device)}

    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Speckle intensity for objects in [0, 1], each through its own state of the fibre."""
        square_objects(objects, self.window)
        side_in, side_out = (round(m.shape[1] ** 0.5) for m in (self.modes_in, self.modes_out))
        field = modulated(resized(objects, side_in), self.modulation).flatten(1)
        matrices = self.matrices[medium["state"].to(self.matrices.device)][..., : len(self.modes_in)].to(field)
        with full_precision():
            excited = field @ self.modes_in.to(field).T
            received = (matrices @ excited[..., None])[..., 0].unflatten(1, (2, -1))
            light = (received @ self.modes_out.conj().to(field)).abs().square()
        light = light[:, 0] if self.polariser else light.sum(1)
        return resized(light.unflatten(1, (side_out, side_out)), self.window)
