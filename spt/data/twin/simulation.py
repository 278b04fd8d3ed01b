"""What a fitted twin predicts for objects behind new diffusers of its set-up."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.progress import Progress
from torch import Tensor

from spt.data.objects import ObjectSource
from spt.data.pairs import Pairs
from spt.data.preparation import Spectra
from spt.data.streams import stream
from spt.data.twin.jitter import Jitter, affine, new_diffuser
from spt.data.twin.pairs import Simulated, TwinPairs
from spt.optics.resampling import warped
from spt.optics.twin import FittedTwin

APART = 2**40
"""Number of the first test diffuser, and of the first epoch of test noise: no training comes so far."""

BATCH = 64
"""Test pairs that get their noise at once."""


@dataclass(frozen=True)
class Simulation:
    """A fitted twin with all that decides what it shows but the objects.

    Args:
        fitted: the twin.
        jitter: how diffusers and objects differ.
        a_diffuser: so many objects are behind one diffuser.
        seed: of the run.
    """

    fitted: FittedTwin
    jitter: Jitter
    a_diffuser: int
    seed: int

    @torch.no_grad()
    def predict(self, objects: ObjectSource, split: str, count: int, test: bool = False) -> Simulated:
        """Spectra and small images of the first objects of a split, without noise, with a progress bar.

        Args:
            objects: what the pairs show.
            split: of the objects.
            count: number of pairs.
            test: whether the diffusers are others than those of the training, and objects stay as they are drawn.
        """
        twin, grid, first = self.fitted.twin, self.fitted.twin.grid, APART if test else 0
        spectra = torch.empty(count, grid.windows**2, *grid.size, dtype=torch.float16)
        small = torch.empty(count, grid.blocks, grid.blocks, dtype=torch.float16)
        drawn = torch.empty(count, twin.side, twin.side, dtype=torch.uint8)
        shown = torch.empty_like(drawn)
        with Progress(transient=True) as progress:
            task = progress.add_task("Simulating with the twin", total=count)
            for start in range(0, count, self.a_diffuser):
                rows = range(start, min(start + self.a_diffuser, count))
                part = slice(rows.start, rows.stop)
                drawn[part] = torch.from_numpy(objects.draw(split, rows, twin.side, self.seed))
                these = drawn[part].float() / 255
                these = these if test else self._changed(these, rows)
                rng = stream(self.seed, "medium", first + start // self.a_diffuser)
                diffuser = new_diffuser(self.jitter, rng, grid.windows**2)
                spectra[part], small[part] = twin(these, diffuser.repeated(len(rows)))
                shown[part] = (these * 255).round().to(torch.uint8)
                progress.advance(task, len(rows))
        return Simulated(spectra, small, shown, drawn)

    def pairs(
        self, name: str, preparation: Spectra, objects: ObjectSource, split: str, count: int, test: bool
    ) -> Pairs:
        """Pairs with noise, whose speckles are the network's inputs, one channel below the other: see ``Unstacked``.

        Args:
            name: of the split that they become.
            preparation: fitted to the measured training pairs; it brings the spectra to the network's scale.
            objects: what the pairs show.
            split: of the objects.
            count: number of pairs.
            test: as for :meth:`predict`; the noise is new, too.
        """
        first = APART if test else 0
        made = self.predict(objects, split, count, test)
        dataset = TwinPairs(made, self.fitted, preparation, None, 0.0, self.seed)
        numbers = (torch.arange(count) + first * count).split(BATCH)
        speckle = torch.cat([dataset.__getitems__(part.tolist())["speckle"] for part in numbers])
        diffuser = first + torch.arange(count) // self.a_diffuser
        known = {"object": torch.tensor(objects.identify(split, range(count), self.seed))}
        return Pairs(name, speckle.flatten(1, 2), made.objects, diffuser, known)

    def _changed(self, objects: Float[Tensor, "b s s"], rows: range) -> Float[Tensor, "b s s"]:
        """Turn, stretch, shear and move objects; the number of the pair decides how."""
        side = objects.shape[-1]
        changes = [affine(self.jitter, stream(self.seed, "augmentation", k), side) for k in rows]
        return warped(objects, torch.stack(changes)).clamp(0, 1)
