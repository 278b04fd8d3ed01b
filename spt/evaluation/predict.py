"""From pairs to the network's logits and images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
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
    """

    model: nn.Module
    head: Head
    preparation: Preparation
    batch_size: int = 16
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    object_size: tuple[int, int] | None = None

    @torch.no_grad()
    def __call__(self, speckle: Tensor) -> tuple[Tensor, Float[Tensor, "b 1 p q"]]:
        """Logits and images in [0, 1] of a batch of stored frames (b, h, w), as float32 on the CPU."""
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
