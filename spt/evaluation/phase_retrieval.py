"""Speckle correlation without a network: the autocorrelation of a frame is that of the object; its phase is retrieved.

Right where object and frame are a convolution: incoherent light within the memory effect.
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.evaluation.baselines import PIXELS, on_object_grid, stretch
from spt.evaluation.prepared_rows import mean_of, parts
from spt.metrics import filter_gaussian, pcc

NAME = "phase retrieval"

BETAS = tuple(2 - 0.1 * k for k in range(21))
"""Feedback of the hybrid input-output steps, one after the other."""

STEPS, LAST_STEPS, STARTS = 10, 40, 3
"""Steps with each feedback, steps of error reduction at the end, and random starts, of which the best is taken."""

INSIDE = 0.98
"""Share of the training objects' mean autocorrelation that the box of lags holds."""

PAIRS = 512
"""Training objects that decide the size of the box."""


class PhaseRetrieval:
    """Fienup's algorithm on the autocorrelation of each frame; the training objects give the size of the support.

    The autocorrelation knows neither place nor orientation of the object. Image and its twin, turned by 180 degrees,
    are therefore moved to where they fit the true object best, for the score alone.

    Args:
        train: training pairs.
        preparation: of the run; its corrections and its grid are used.
    Source: Bertolotti et al. (2012); Katz et al. (2014), methods; Fienup (1982), section V. Differs: three random
        starts, the one with the least error in the spectrum is taken; the box of lags comes from the training objects.
    """

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.preparation = preparation
        self.reach = reach_of(train.images(0, PAIRS))

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Yield the images, placed and oriented as the objects."""
        for part in parts(pairs.speckle, PIXELS // (8 * STARTS)):
            frames = on_object_grid(self.preparation, pairs, part)
            found = retrieved(spectrum(frames[:, 0], self.reach), self.reach)
            yield stretch(placed(found, pairs.images(part.start, part.stop)[:, 0])[:, None])


def reach_of(objects: Float[Tensor, "n 1 h w"]) -> int:
    """Largest lag [px] along any axis of the box that holds most of the objects' mean autocorrelation."""
    lags = mean_of(autocorrelation(objects[part, 0]) for part in parts(objects, PIXELS))
    middle = [side // 2 for side in lags.shape]
    total = lags.sum()
    for reach in range(1, min(middle)):
        box = lags[middle[0] - reach : middle[0] + reach + 1, middle[1] - reach : middle[1] + reach + 1]
        if box.sum() >= INSIDE * total:
            return reach
    return min(middle) - 1


def autocorrelation(images: Float[Tensor, "n h w"]) -> Float[Tensor, "n p q"]:
    """Sum over pixels of an image times its shifted self, for lags from -h and -w on; lag 0 is in the middle."""
    size = [2 * side for side in images.shape[-2:]]
    power = torch.fft.rfft2(images, s=size).abs().square()
    return torch.fft.fftshift(torch.fft.irfft2(power, s=size), dim=(-2, -1))


def spectrum(frames: Float[Tensor, "n h w"], reach: int) -> Float[Tensor, "n p f"]:
    """Modulus of the object's Fourier transform on twice its grid (half spectrum), from frames of its speckle.

    Args:
        frames: intensities.
        reach: lags beyond are noise and are left out [px].
    """
    side = min(frames.shape[-2:])
    smooth = filter_gaussian(F.pad(frames[:, None], (side // 2,) * 4, "replicate"), side / 6, side // 2)[:, 0]
    flat = frames / smooth.clamp(min=1e-6 * smooth.amax((-2, -1), keepdim=True)) - 1
    flat = flat - flat.mean((-2, -1), keepdim=True)
    lags = autocorrelation(flat) / autocorrelation(torch.ones_like(flat[:1])).clamp(min=0.1 * flat[0].numel())
    height, width = (side // 2 for side in lags.shape[-2:])
    edges = [torch.arange(-half, half).abs() for half in (height, width)]
    near = (edges[0][:, None] <= reach) & (edges[1] <= reach)
    # The background is the level of the lags at the rim of the box, where the object's own autocorrelation ends.
    rim = near & ((edges[0][:, None] == reach) | (edges[1] == reach))
    lags = (lags - lags[:, rim].mean(1)[:, None, None]) * near
    power = torch.fft.rfft2(torch.fft.ifftshift(lags, dim=(-2, -1))).real
    return power.clamp(min=0).sqrt()


def retrieved(modulus: Float[Tensor, "n p f"], reach: int) -> Float[Tensor, "n h w"]:
    """Images, none negative, inside a square of ``reach`` px, whose spectra have this modulus as nearly as possible.

    Args:
        modulus: half spectrum on twice the grid of the images.
        reach: side of the support [px].
    Returns:
        The images on their grid, somewhere on it.
    """
    size = (modulus.shape[1], 2 * (modulus.shape[2] - 1))
    support = _support(size, reach)
    best, least = torch.zeros(len(modulus), *size), torch.full((len(modulus),), torch.inf)
    for start in range(STARTS):
        image = _fienup(modulus, support, _random(start, size) * support)
        error = (torch.fft.rfft2(image).abs() - modulus).square().sum((1, 2))
        better = error < least
        best[better], least[better] = image[better], error[better]
    return best[:, : size[0] // 2, : size[1] // 2]


def _fienup(
    modulus: Float[Tensor, "n p f"], support: Bool[Tensor, "p q"], first: Float[Tensor, "p q"]
) -> Float[Tensor, "n p q"]:
    """Hybrid input-output with falling feedback, then error reduction."""
    image = first.expand(len(modulus), -1, -1)
    for beta in BETAS:
        for _ in range(STEPS):
            made = _with_modulus(image, modulus)
            image = torch.where(support & (made >= 0), made, image - beta * made)
    for _ in range(LAST_STEPS):
        image = _with_modulus(image, modulus).clamp(min=0) * support
    return image


def _with_modulus(image: Float[Tensor, "n p q"], modulus: Float[Tensor, "n p f"]) -> Float[Tensor, "n p q"]:
    """The image whose spectrum keeps its phase and takes the modulus."""
    field = torch.fft.rfft2(image)
    return torch.fft.irfft2(field * (modulus / field.abs().clamp(min=1e-12)), s=image.shape[-2:])


def placed(images: Float[Tensor, "n h w"], truth: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each image, or its twin turned by 180 degrees, moved over the dark to where it correlates best with the truth."""
    both = torch.stack([_moved_to(kind, truth) for kind in (images, images.flip((-2, -1)))])
    scores = torch.stack([pcc(kind[:, None], truth[:, None]) for kind in both]).nan_to_num(-1)
    return both[scores.argmax(0), torch.arange(len(images))]


def _moved_to(images: Float[Tensor, "n h w"], truth: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    height, width = images.shape[-2:]
    size = (2 * height, 2 * width)
    wanted = torch.fft.rfft2(truth - truth.mean((-2, -1), keepdim=True), s=size)
    fit = torch.fft.irfft2(torch.fft.rfft2(images, s=size).conj() * wanted, s=size).flatten(1).argmax(1)
    moved = []
    for image, place in zip(images, fit.tolist(), strict=True):
        y, x = divmod(place, size[1])
        wide = torch.roll(F.pad(image, (0, width, 0, height)), (y, x), (0, 1))
        moved.append(wide[:height, :width])
    return torch.stack(moved)


@lru_cache(maxsize=4)
def _support(size: tuple[int, int], reach: int) -> Bool[Tensor, "p q"]:
    """The corner of the grid in which the image may lie; cached: do not write into it."""
    inside = torch.zeros(size, dtype=torch.bool)
    inside[: min(reach, size[0] // 2), : min(reach, size[1] // 2)] = True
    return inside


@lru_cache(maxsize=4)
def _random(start: int, size: tuple[int, int]) -> Float[Tensor, "p q"]:
    """A random image, the same for every frame: no frame's result depends on the others."""
    return torch.rand(size, generator=torch.Generator().manual_seed(start))
