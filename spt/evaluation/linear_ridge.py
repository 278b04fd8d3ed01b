"""Linear ridge regression from speckle pixels to object pixels, in a memory that does not grow with the pixels."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.evaluation.prepared_rows import PreparedRows, mean_of, parts, products

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

MOST_COLUMNS = 256
"""Object pixels, spread evenly, that choose the strength."""

PIXELS = 2**23
"""Pixels of the images, and of the training targets, that are float64 at once: 64 MB each."""


class LinearRidge:
    """Ridge regression from prepared speckle pixels to target pixels, clipped to [0, 1].

    A prediction is a weighted sum of the training targets, w = x X^T (X X^T + s I)^-1 with centred frames x and X. So
    no matrix of all pixels by all pixels is made, and the targets stay as they are stored. Where there are fewer pixels
    than training frames, the equal w = x (X^T X + s I)^-1 X^T is the smaller system. The strength s is chosen among six
    by the error on every tenth training pair, so that each diffuser of a sorted recording has its share. Then all pairs
    are used.

    Args:
        train: training pairs.
        preparation: the network's own.
    Source: Hoerl & Kennard, Technometrics 12, 55 (1970); dual form: Saunders, Gammerman, Vovk, ICML 1998.
    """

    def __init__(self, train: Pairs, preparation: Preparation) -> None:
        self.train = train
        plain = PreparedRows(train.speckle, lambda frames: preparation(frames).flatten(1))
        centre = mean_of(plain.block(part.start, part.stop) for part in parts(train.speckle, PIXELS)).float()
        self.prepare = lambda frames: preparation(frames).flatten(1) - centre
        self.mean = mean_of(train.images(part.start, part.stop).flatten(1) for part in parts(train.target, PIXELS))
        self.rows = PreparedRows(train.speckle, self.prepare)
        self.dual = len(train) < len(centre)
        known = products(self.rows, self.rows) if self.dual else self.rows.block(0, len(train)).double()
        self.strength = self._choose(known)
        self.weigh = self._solve(known, self._system(known), self.strength)

    def __call__(self, pairs: Pairs) -> Iterator[Float[Tensor, "b 1 h w"]]:
        """Predict images, block by block."""
        for some in parts(pairs.speckle, min(8 * PIXELS, 1024 * pairs.speckle[0].numel())):
            new = PreparedRows(pairs.speckle[some], self.prepare)
            weights = self.weigh(products(new, self.rows) if self.dual else new.block(0, len(new)).double())
            for part in parts(new.speckle, PIXELS):
                images = self.mean.repeat(part.stop - part.start, 1)
                for known in parts(self.train.target, PIXELS):
                    target = self.train.images(known.start, known.stop).flatten(1).double()
                    images.addmm_(weights[part, known], target - self.mean)
                yield images.float().clamp(0, 1).unflatten(1, (1, *pairs.target.shape[1:]))

    def _choose(self, known: Float64[Tensor, "n r"]) -> float:
        if len(known) < 2:
            return STRENGTHS[-1]
        tried = torch.arange(len(known)) % 10 == 0
        pixels = len(self.mean)
        columns = torch.linspace(0, pixels - 1, min(MOST_COLUMNS, pixels)).long()
        blocks = [self.train.images(p.start, p.stop).flatten(1)[:, columns] for p in parts(self.train.target, PIXELS)]
        target = torch.cat(blocks).double() - self.mean[columns]
        new, rest = known[tried], known[~tried]
        if self.dual:
            new, rest = new[:, ~tried], rest[:, ~tried]
        system = self._system(rest)

        def error(strength: float) -> float:
            weights = self._solve(rest, system, strength)(new)
            return (weights @ target[~tried] - target[tried]).square().mean().item()

        return min(STRENGTHS, key=error)

    def _system(self, known: Float64[Tensor, "n r"]) -> Float64[Tensor, "r r"]:
        """The smaller system's matrix: X X^T (dual), which is known already, or X^T X."""
        return known if self.dual else known.T @ known

    @staticmethod
    def _factor(system: Float64[Tensor, "r r"], strength: float) -> Float64[Tensor, "r r"]:
        """Cholesky factor of the system with the penalty: the strength times the mean of its diagonal."""
        system = system.clone()
        system.diagonal().add_(strength * system.diagonal().mean().clamp(min=1e-12))
        return torch.linalg.cholesky(system)

    def _solve(
        self, known: Float64[Tensor, "n r"], system: Float64[Tensor, "r r"], strength: float
    ) -> Callable[[Float64[Tensor, "m r"]], Float64[Tensor, "m n"]]:
        """Solve the system of some training frames; the result gives the weights w of new frames.

        Args:
            known: inner products of these training frames with each other (dual), or their centred rows.
            system: of these frames.
            strength: of the penalty.
        """
        factor = self._factor(system, strength)
        if self.dual:
            return lambda new: torch.cholesky_solve(new.T, factor).T
        return lambda new: torch.cholesky_solve(new.T, factor).T @ known.T
