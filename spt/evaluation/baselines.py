"""What nothing-learned and linear methods score: the numbers a network has to beat.

Every baseline is fitted on the training pairs alone and maps speckles of any split to images in [0, 1].
"""

import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.metrics import filter_gaussian, pcc

log = logging.getLogger(__name__)

Baseline = Callable[[Pairs], Float[Tensor, "n 1 h w"]]

BLUR_SIGMAS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
RIDGE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
MOST_TRAINING_PAIRS = 6000


def fit_baselines(train: Pairs, preparation: Preparation) -> dict[str, Baseline]:
    """Fit raw speckle, best blur, mean image, nearest neighbour and linear ridge.

    Args:
        train: training pairs; of more than 6,000 the first 6,000 serve, so that the ridge stays a matter of seconds.
        preparation: the network's own input preparation, used by nearest neighbour and ridge.
    """
    if len(train) > MOST_TRAINING_PAIRS:
        log.info("Baselines use the first %d of %d training pairs.", MOST_TRAINING_PAIRS, len(train))
    speckle, target = train.speckle[:MOST_TRAINING_PAIRS], train.images(0, MOST_TRAINING_PAIRS)
    features = preparation(speckle[:, None]).flatten(1)
    sigma = best_blur(speckle[:256], target[:256])
    mean = target.mean(0, keepdim=True)
    neighbour = NearestNeighbour(features, target)
    ridge = LinearRidge(features, target)
    return {
        "raw speckle": lambda pairs: _raw(pairs.speckle),
        "best blur": lambda pairs: gaussian_blur(_raw(pairs.speckle), sigma),
        "mean image": lambda pairs: mean.expand(len(pairs), -1, -1, -1),
        "nearest neighbour": lambda pairs: neighbour(preparation(pairs.speckle[:, None]).flatten(1)),
        "linear ridge": lambda pairs: ridge(preparation(pairs.speckle[:, None]).flatten(1)),
    }


def _raw(speckle: Tensor) -> Float[Tensor, "n 1 h w"]:
    image = speckle[:, None].float()
    return image / image.amax((-2, -1), keepdim=True).clamp(min=1e-12)


def gaussian_blur(image: Float[Tensor, "n 1 h w"], sigma: float) -> Float[Tensor, "n 1 h w"]:
    """Blur by a Gaussian of ``sigma`` px, edges replicated, then stretch every image to a maximum of 1."""
    radius = min(round(3 * sigma), min(image.shape[-2:]) - 1)
    image = filter_gaussian(F.pad(image, (radius,) * 4, "replicate"), sigma, radius)
    return _raw(image[:, 0])


def best_blur(speckle: Tensor, target: Float[Tensor, "n 1 h w"]) -> float:
    """The Gaussian width [px] whose blurred speckles correlate best with the targets given."""
    scores = {sigma: pcc(gaussian_blur(_raw(speckle), sigma), target).mean().item() for sigma in BLUR_SIGMAS}
    return max(scores, key=lambda sigma: scores[sigma])


class NearestNeighbour:
    """The target of the training speckle that correlates best."""

    def __init__(self, features: Float[Tensor, "m d"], target: Float[Tensor, "m 1 h w"]) -> None:
        self.features, self.target = _unit(features), target

    def __call__(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n 1 h w"]:
        """Return the neighbours' targets."""
        return self.target[(_unit(features) @ self.features.T).argmax(1)]


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features - features.mean(1, keepdim=True), dim=1)


class LinearRidge:
    """Ridge regression from prepared speckle pixels to target pixels, clipped to [0, 1].

    The strength is chosen among six on a tenth of the training pairs held back, then all pairs are used. The smaller
    of the primal and the dual system is solved.

    Source: Hoerl & Kennard, Technometrics 12, 55 (1970). Differs: nothing.
    """

    def __init__(self, features: Float[Tensor, "m d"], target: Float[Tensor, "m 1 h w"]) -> None:
        self.shape = target.shape[1:]
        self.centre, self.mean = features.mean(0), target.flatten(1).mean(0)
        x, y = features - self.centre, target.flatten(1) - self.mean
        self.strength = self._choose(x, y)
        self.weights = _ridge(x, y, self.strength)

    def __call__(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n 1 h w"]:
        """Predict images."""
        flat = (features - self.centre) @ self.weights + self.mean
        return flat.clamp(0, 1).unflatten(1, self.shape)

    @staticmethod
    def _choose(x: Tensor, y: Tensor) -> float:
        held = max(1, len(x) // 10)
        if len(x) <= held:
            return RIDGE_STRENGTHS[-1]
        few = y[:, torch.linspace(0, y.shape[1] - 1, min(256, y.shape[1])).long()]

        def error(strength: float) -> float:
            weights = _ridge(x[held:], few[held:], strength)
            return (x[:held] @ weights - few[:held]).square().mean().item()

        return min(RIDGE_STRENGTHS, key=error)


def _ridge(x: Float[Tensor, "m d"], y: Float[Tensor, "m p"], strength: float) -> Float[Tensor, "d p"]:
    m, d = x.shape
    dual = m < d
    gram = (x @ x.T if dual else x.T @ x).double()
    scale = gram.diagonal().mean().clamp(min=1e-12)
    gram.diagonal().add_(strength * scale)
    factor = torch.linalg.cholesky(gram)
    if dual:
        return x.T @ torch.cholesky_solve(y.double(), factor).float()
    return torch.cholesky_solve((x.T @ y).double(), factor).float()
