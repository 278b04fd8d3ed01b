"""The network's images, refined through the twin of the set-up that it was trained with."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Spectra
from spt.errors import InvalidValue
from spt.evaluation.predict import Predictor
from spt.optics.twin import FittedTwin, Refinement


@dataclass(frozen=True, kw_only=True)
class RefinedPredictor(Predictor):
    """A network whose images are refined; frames behind one diffuser are refined together.

    Args:
        fitted: the twin of the set-up.
        spread: standard deviation of each difference of a new diffuser.
        refinement: how images are refined.
    Raises:
        InvalidValue: if the network does not see spectra, or its head does not give one logit a pixel.
    """

    fitted: FittedTwin
    spread: Mapping[str, float]
    refinement: Refinement = field(default_factory=Refinement)
    made: dict[int, tuple[Pairs, Tensor]] = field(default_factory=dict)
    """Refined images of the pairs that were asked for last."""

    def __post_init__(self) -> None:
        if not isinstance(self.preparation, Spectra) or self.head.name != "binary":
            raise InvalidValue(
                "refine=true needs a network that sees spectra (preparation@data.preparation=spectra) with head=binary."
            )

    def batches(self, pairs: Pairs) -> Iterator[tuple[slice, Tensor, Float[Tensor, "b 1 h w"]]]:
        """The part of the split, the logits of its images and its images, batch by batch."""
        images = self.shown(pairs, range(len(pairs)))
        for start in range(0, len(pairs), self.batch_size):
            part = slice(start, min(start + self.batch_size, len(pairs)))
            yield part, images[part].logit(), images[part]

    def shown(self, pairs: Pairs, rows: Sequence[int]) -> Float[Tensor, "n 1 h w"]:
        """Images of some pairs of a split."""
        if id(pairs) not in self.made:
            images = torch.empty(len(pairs), *(self.object_size or ()))
            for number in pairs.diffuser.unique().tolist():
                behind = (pairs.diffuser == number).nonzero().flatten()
                images[behind] = self.refine(pairs.speckle[behind])
            self.made.clear()
            self.made[id(pairs)] = pairs, images[:, None]
        return self.made[id(pairs)][1][list(rows)]

    def refine(self, speckle: Tensor) -> Float[Tensor, "n h w"]:
        """Images of frames that were all recorded behind one diffuser."""
        preparation = self.preparation
        assert isinstance(preparation, Spectra)
        assert preparation.edge is not None
        assert preparation.level is not None
        edge, size = float(preparation.edge), (preparation.level.shape[-2], preparation.level.shape[-1])
        parts = speckle.split(self.batch_size)
        with torch.no_grad():
            seen = [preparation.windows_and_small(part[:, None]) for part in parts]

        def predict(scale: float) -> Float[Tensor, "n h w"]:
            scaled = deepcopy(preparation)
            scaled.set_grid((speckle.shape[-2], speckle.shape[-1]), size, edge * scale)
            network = Predictor(self.model, self.head, scaled, self.batch_size, self.precision, self.object_size)
            return torch.cat([network(part)[1][:, 0] for part in parts])

        spectra = torch.cat([spectra for spectra, _ in seen])
        small = torch.cat([small[:, 0] for _, small in seen if small is not None])
        return self.refinement(self.fitted, self.spread, spectra, small, predict)[0]
