"""From pairs to the network's logits and images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.heads import Head
from spt.optics.resampling import resized


@dataclass(frozen=True)
class Predictor:
    """A network with everything that it needs to see stored frames; it runs in the mode and on the device it is in.

    Args:
        model: the network.
        head: what its channels mean.
        preparation: what happens to a frame first.
        batch_size: frames of a batch.
        precision: makes the context in which the network runs, such as autocast. Frames get the type of the network's
            weights, so that a network in float32 without a context runs in float32.
        object_size: height and width of the images [px]; None where they have the size of the network's input.
        orientations: 1; 4: each frame is also seen flipped along y, x and both; 8: each of these transposed too. Images
            and logits are turned back and averaged.
    """

    model: nn.Module
    head: Head
    preparation: Preparation
    batch_size: int = 16
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    object_size: tuple[int, int] | None = None
    orientations: int = 1

    def __call__(self, speckle: Tensor) -> tuple[Tensor, Float[Tensor, "b 1 p q"]]:
        """Logits and images in [0, 1] of a batch of stored frames (b, h, w), as float32 on the CPU."""
        seen = [self._once(turned(speckle, k)) for k in range(self.orientations)]
        logits, images = (
            torch.stack([turned_back(each, k) for k, each in enumerate(side)]).mean(0)
            for side in zip(*seen, strict=True)
        )
        return logits, images

    @torch.no_grad()
    def _once(self, speckle: Tensor) -> tuple[Tensor, Float[Tensor, "b 1 p q"]]:
        weight = next((p for p in self.model.parameters() if p.is_floating_point()), torch.zeros(0))
        frames = self.preparation(speckle[:, None]).to(weight.device, weight.dtype)
        with self.precision():
            logits = self.model(frames)
            logits = logits if self.object_size is None else resized(logits, self.object_size)
            images = self.head.decode(logits)
        return logits.float().cpu(), images.float().cpu()

    def batches(self, pairs: Pairs) -> Iterator[tuple[slice, Tensor, Float[Tensor, "b 1 h w"]]]:
        """The part of the split, its logits and its images, batch by batch."""
        for start in range(0, len(pairs), self.batch_size):
            part = slice(start, min(start + self.batch_size, len(pairs)))
            yield part, *self(pairs.speckle[part])

    def shown(self, pairs: Pairs, rows: Sequence[int]) -> Float[Tensor, "n 1 h w"]:
        """Images of some pairs of a split."""
        return self(pairs.speckle[list(rows)])[1]


def turned(images: Shaped[Tensor, "*b h w"], orientation: int) -> Shaped[Tensor, "*b p q"]:
    """Flip along y (1), along x (2), then transpose (4).

    Args:
        images: any number of images.
        orientation: sum of the numbers of what is done, 0 to 7.
    """
    flipped = images.flip([axis for axis, bit in ((-2, 1), (-1, 2)) if orientation & bit])
    return flipped.mT if orientation & 4 else flipped


def turned_back(images: Shaped[Tensor, "*b h w"], orientation: int) -> Shaped[Tensor, "*b p q"]:
    """Undo :func:`turned`."""
    images = images.mT if orientation & 4 else images
    return images.flip([axis for axis, bit in ((-2, 1), (-1, 2)) if orientation & bit])
