"""What a fitted twin predicts for objects behind new diffusers of its set-up."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.progress import Progress
from torch import Tensor

from spt.data.objects import ObjectSource
from spt.data.pairs import Pairs
from spt.data.preparation import Spectra
from spt.data.streams import stream
from spt.data.twin.jitter import Jitter, affine, new_diffuser
from spt.data.twin.pairs import Simulated, TwinPairs
from spt.optics.twin import FittedTwin

APART = 2**40
"""Added to the numbers of diffusers and noise that no training may draw."""


@torch.no_grad()
def simulate(
    fitted: FittedTwin,
    objects: ObjectSource,
    split: str,
    count: int,
    a_diffuser: int,
    jitter: Jitter,
    seed: int,
    first: int = 0,
    changed: bool = True,
) -> Simulated:
    """Predict spectra and small images, without noise, with a progress bar.

    Args:
        fitted: the twin.
        objects: what the pairs show.
        split: of the objects.
        count: number of pairs.
        a_diffuser: so many objects are behind one diffuser.
        jitter: how diffusers and objects differ.
        seed: of the run.
        first: number of the first diffuser.
        changed: whether objects are turned, stretched, sheared and moved.
    """
    twin, grid = fitted.twin, fitted.twin.grid
    spectra = torch.empty(count, grid.windows**2, *grid.size, dtype=torch.float16)
    small = torch.empty(count, grid.blocks, grid.blocks, dtype=torch.float16)
    drawn = torch.empty(count, twin.side, twin.side, dtype=torch.uint8)
    shown = torch.empty_like(drawn)
    with Progress(transient=True) as progress:
        task = progress.add_task("Simulating with the twin", total=count)
        for start in range(0, count, a_diffuser):
            rows = range(start, min(start + a_diffuser, count))
            drawn[rows.start : rows.stop] = torch.from_numpy(objects.draw(split, rows, twin.side, seed))
            these = drawn[rows.start : rows.stop].float() / 255
            if changed:
                these = _changed(these, rows, jitter, seed)
            diffuser = new_diffuser(jitter, stream(seed, "medium", first + start // a_diffuser), grid.windows**2)
            made = twin(these, diffuser.repeated(len(rows)))
            spectra[rows.start : rows.stop], small[rows.start : rows.stop] = made[0], made[1]
            shown[rows.start : rows.stop] = (these * 255).round().to(torch.uint8)
            progress.advance(task, len(rows))
    return Simulated(spectra, small, shown, drawn)


def simulated_pairs(
    name: str,
    fitted: FittedTwin,
    preparation: Spectra,
    objects: ObjectSource,
    split: str,
    count: int,
    a_diffuser: int,
    jitter: Jitter,
    seed: int,
    test: bool,
) -> Pairs:
    """Pairs whose speckles are the network's inputs, one channel below the other: see ``Unstacked``.

    Args:
        name: of the split that they become.
        fitted: the twin.
        preparation: fitted to the measured training pairs; it brings the spectra to the network's scale.
        objects: what the pairs show.
        split: of the objects.
        count: number of pairs.
        a_diffuser: so many objects are behind one diffuser.
        jitter: how diffusers and objects differ.
        seed: of the run.
        test: whether diffusers and noise are others than those of the training, and objects stay as they are drawn.
    """
    first = APART if test else 0
    made = simulate(fitted, objects, split, count, a_diffuser, jitter, seed, first, changed=not test)
    dataset = TwinPairs(made, fitted, preparation, None, 0.0, seed)
    parts = [dataset.__getitems__(part.tolist())["speckle"] for part in (torch.arange(count) + first * count).split(64)]
    diffuser = first + torch.arange(count) // a_diffuser
    known = {"object": torch.tensor(objects.identify(split, range(count), seed))}
    return Pairs(name, torch.cat(parts).flatten(1, 2), made.objects, diffuser, known)


def _changed(objects: Float[Tensor, "b s s"], rows: range, jitter: Jitter, seed: int) -> Float[Tensor, "b s s"]:
    """Turn, stretch, shear and move objects; the number of the pair decides how."""
    images = objects[:, None]
    changes = torch.stack([affine(jitter, stream(seed, "augmentation", k), images.shape[-1]) for k in rows])
    grid = F.affine_grid(changes, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)[:, 0].clamp(0, 1)
