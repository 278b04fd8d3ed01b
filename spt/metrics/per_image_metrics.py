"""The mean of every metric over the images of a split, on any number of processes."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spt.metrics.image import per_image
from spt.metrics.indexed import IndexedMetric
from spt.precision import in_float64


class PerImageMetrics(IndexedMetric):
    """Collects every metric of every image. The value is the mean over images, never a pooled sum."""

    def __init__(self) -> None:
        super().__init__()
        self.names: tuple[str, ...] = ()

    def update(
        self,
        pred: Float[Tensor, "b 1 h w"],
        target: Float[Tensor, "b 1 h w"],
        index: Int[Tensor, " b"],
        extra: Mapping[str, Float[Tensor, " b"]] | None = None,
    ) -> None:
        """Add a batch of images in [0, 1].

        Args:
            pred: reconstructed images.
            target: true images.
            index: number of each image in its split.
            extra: further values of each image, by name; the same names in every batch.
        Raises:
            ValueError: if the shapes differ, or the names are not those of the batches before.
        """
        values = per_image(pred, target) | dict(extra or {})
        if self.index and tuple(values) != self.names:
            raise ValueError(f"every batch needs the metrics {', '.join(self.names)}; got {', '.join(values)}.")
        self.names = tuple(values)
        self.add(torch.stack([in_float64(value) for value in values.values()], dim=1), index)

    def compute(self) -> dict[str, Tensor]:
        """Mean over images of every metric."""
        return dict(zip(self.names, self.once().mean(0).float(), strict=True))
