"""Simulated pairs as batches: spectra of the twin with new noise, among them measured pairs."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from spt.data.pairs import Pairs, Sample, images
from spt.data.preparation import Spectra
from spt.data.streams import stream
from spt.optics.resampling import resized
from spt.optics.twin import FittedTwin


@dataclass(frozen=True)
class Simulated:
    """What a twin predicts, without noise.

    Args:
        spectra: logs of the spectra.
        small: logs of the small images.
        objects: what they show, 0 to 255.
        drawn: the same objects before they were turned, stretched, sheared and moved.
    """

    spectra: Float[Tensor, "n k p q"]
    small: Float[Tensor, "n m m"]
    objects: UInt8[Tensor, "n s s"]
    drawn: UInt8[Tensor, "n s s"]


class TwinPairs(Dataset[Sample]):
    """Batches of simulated pairs with new noise for every number, and of measured pairs.

    Pairs are numbered over the epochs; a number alone decides what it shows.

    Args:
        simulated: spectra without noise.
        fitted: the twin; its noise is added.
        preparation: its mean and spread bring the spectra to the network's scale.
        inputs: measured training pairs, with prepared speckles; None where there are none among the simulated ones.
        measured: their share.
        seed: of the run.
    """

    def __init__(
        self,
        simulated: Simulated,
        fitted: FittedTwin,
        preparation: Spectra,
        inputs: Pairs | None,
        measured: float,
        seed: int,
    ) -> None:
        self.simulated, self.fitted, self.preparation = simulated, fitted, preparation
        self.inputs, self.measured, self.seed = inputs, measured, seed

    def __len__(self) -> int:
        return len(self.simulated.spectra)

    @torch.no_grad()
    def __getitems__(self, numbers: list[int]) -> Sample:
        """The pairs of ``numbers``; the loader asks for whole batches."""
        pairs = [self._pair(number) for number in numbers]
        speckle, target, diffuser = zip(*pairs, strict=True)
        return {
            "speckle": torch.stack(speckle),
            "target": torch.stack(target),
            "index": torch.tensor(numbers) % len(self),
            "diffuser": torch.tensor(diffuser),
        }

    def _pair(self, number: int) -> tuple[Float[Tensor, "c p q"], Float[Tensor, "1 s s"], int]:
        rng = stream(self.seed, "noise", number)
        if rng.random() < self.measured and self.inputs is not None:
            row = int(rng.integers(len(self.inputs)))
            channels = self.inputs.speckle[[row]].unflatten(1, (self.preparation.channels, -1))[0]
            return channels, images(self.inputs.target[[row]])[0], int(self.inputs.diffuser[row])
        row = number % len(self)
        noise, grey = self.fitted.noise(rng)
        spectra = self.simulated.spectra[row].float() + noise
        small = resized(self.simulated.small[row].float() + grey, (spectra.shape[-2], spectra.shape[-1]))
        channels = self.preparation.standardized(torch.cat([spectra, small[None]]))
        return channels, self.simulated.objects[row][None].float() / 255, -1
