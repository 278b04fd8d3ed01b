"""Simple methods that a network has to beat: without learning, by the nearest training pair, and linear.

Each is fitted on the training pairs alone and then turns the speckles of any split into images in [0, 1].
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.data.readers import evenly
from spt.evaluation.linear_ridge import LinearRidge
from spt.evaluation.prepared_rows import PreparedRows, mean_of, parts, products
from spt.metrics import filter_gaussian, pcc
from spt.optics.resampling import resized

Baseline = Callable[[Pairs], Iterator[Float[Tensor, "b 1 h w"]]]
"""From the pairs of a split to their images, in order, block by block."""

BLUR_SIGMAS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
BLUR_PAIRS = 256
"""Training pairs, spread evenly, that choose the width."""
PIXELS = 2**22
"""Pixels of the images that are made at once: 16 MB as float32."""


class RawSpeckle:
    """The speckle itself, on the grid of the objects, divided by its maximum."""

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.preparation = preparation

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Yield the images."""
        return (on_object_grid(self.preparation, pairs, part) for part in parts(pairs.speckle, PIXELS))


class BestBlur:
    """The speckle blurred by the Gaussian whose images correlate best with the targets of some training pairs."""

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.preparation = preparation
        some = train.part(evenly(len(train), BLUR_PAIRS))
        speckle = torch.cat([on_object_grid(preparation, some, part) for part in parts(some.speckle, PIXELS)])
        self.sigma = best_blur(speckle, some.images())

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Yield the images."""
        for part in parts(pairs.speckle, PIXELS):
            yield gaussian_blur(on_object_grid(self.preparation, pairs, part), self.sigma)


class MeanImage:
    """The mean of all training targets, whatever the speckle."""

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.mean = mean_of(train.images(part.start, part.stop) for part in parts(train.target, PIXELS)).float()

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Yield the images."""
        return (self.mean.expand(p.stop - p.start, -1, -1, -1) for p in parts(pairs.speckle, PIXELS))


class NearestNeighbour:
    """The target of the training speckle that correlates best, after preparation."""

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.train = train
        self.prepare = lambda frames: _unit(preparation(frames).flatten(1))

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Yield the images."""
        new, known = (PreparedRows(frames, self.prepare) for frames in (pairs.speckle, self.train.speckle))
        correlations = products(new, known)
        best, finite = correlations.argmax(1), correlations.isfinite().all(1)
        for part in parts(pairs.speckle, PIXELS):
            images = torch.cat([self.train.images(k, k + 1) for k in best[part].tolist()])
            yield images.masked_fill(~finite[part, None, None, None], torch.nan)


BASELINES: dict[str, Callable[[Pairs, Preparation], Baseline]] = {
    "raw speckle": RawSpeckle,
    "best blur": BestBlur,
    "mean image": MeanImage,
    "nearest neighbour": NearestNeighbour,
    "linear ridge": LinearRidge,
}
"""Name to what fits it: called with the training pairs and the network's own input preparation."""


def on_object_grid(preparation: Preparation, pairs: Pairs, part: slice) -> Float[Tensor, "n 1 p q"]:
    """Corrected speckles as images of the objects' size, each divided by its maximum."""
    light = preparation.light(pairs.speckle[part][:, None])
    return stretch(resized(light, (pairs.target.shape[1], pairs.target.shape[2])))


def stretch(image: Shaped[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Divide every image by its maximum."""
    image = image.float()
    return image / image.amax((-2, -1), keepdim=True).clamp(min=1e-12)


def gaussian_blur(image: Float[Tensor, "n 1 h w"], sigma: float) -> Float[Tensor, "n 1 h w"]:
    """Blur by a Gaussian of ``sigma`` px, edges replicated, then stretch every image to a maximum of 1."""
    radius = min(round(3 * sigma), min(image.shape[-2:]) - 1)
    return stretch(filter_gaussian(F.pad(image, (radius,) * 4, "replicate"), sigma, radius))


def best_blur(speckle: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]) -> float:
    """The Gaussian width [px] whose blurred speckles correlate best with the targets, in the mean over images."""
    scores = {}
    for sigma in BLUR_SIGMAS:
        blurred = ((gaussian_blur(speckle[p], sigma), target[p]) for p in parts(speckle, PIXELS))
        scores[sigma] = torch.cat([pcc(images, truth) for images, truth in blurred]).mean().item()
    return max(scores, key=lambda sigma: scores[sigma])


def _unit(rows: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    return F.normalize(rows - rows.mean(1, keepdim=True), dim=1)
