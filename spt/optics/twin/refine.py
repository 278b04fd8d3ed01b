"""Images that agree better with the measured spectra: gradient steps through the twin of the set-up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.optics.twin.file import FittedTwin
from spt.optics.twin.fit import NAMES
from spt.optics.twin.model import Diffuser

CHUNK = 25
"""Images that are predicted at once."""

SURE = 1e-3
"""Distance from 0 and 1 that a pixel keeps, so that its logit is finite."""

Predict = Callable[[float], Float[Tensor, "n s s"]]
"""The network's images, from spectra of frequencies that are all so many times as high."""


@dataclass(frozen=True)
class Refinement:
    """How images of frames behind one unknown diffuser are refined.

    Found are the images x and the differences D of the diffuser from the mean of the set-up that minimise::

        sum over frames of [ share |S - S_twin(x, D)|^2 / (2 v) + share |s - s_twin(x, D)|^2 / (2 w)
                             + weight |logit x - logit x_0|^2 ]  +  |D / spread|^2 / 2

    with the log spectra S, the logs s of the small image, the mean squares v and w of what the fit of the twin left
    unexplained, and the network's images x_0. First D is found with x = x_0. Then the network sees the frames once
    more, with their spectra brought to the mean distance of the diffuser. All this is done ``rounds`` times.

    Args:
        weight: of the distance from the network's images.
        share: share of the values that are independent. A spectrum holds every value twice, and windows overlap.
        rounds: how often the network sees the frames again.
        alone: steps in which only D changes, in each round.
        steps: steps in which the images change, too.
        rate: learning rate of the logits.
        diffuser_rate: learning rate of D.
    """

    weight: float = 2.0
    share: float = 0.4
    rounds: int = 2
    alone: int = 25
    steps: int = 30
    rate: float = 0.1
    diffuser_rate: float = 0.004

    def __call__(
        self,
        fitted: FittedTwin,
        spread: Mapping[str, float],
        spectra: Float[Tensor, "n k p q"],
        small: Float[Tensor, "n m m"],
        predict: Predict,
    ) -> tuple[Float[Tensor, "n s s"], Diffuser]:
        """Refine images.

        Args:
            fitted: the twin.
            spread: standard deviation of each difference of a diffuser, by its name.
            spectra: measured log spectra of all frames.
            small: logs of the small images.
            predict: the network.
        Returns:
            The images, and how the diffuser differs from the mean.
        """
        with torch.inference_mode(False), torch.enable_grad():
            problem = _Problem(fitted, spread, spectra.clone(), small.clone(), self)
            images = predict(1.0)
            for _ in range(self.rounds):
                problem.solve(images, self.alone, images_too=False)
                images = problem.solve(predict(problem.scale), self.steps, images_too=True)
            return images, problem.diffuser.each(lambda value: value.detach())


class _Problem:
    """The sum above, and the diffuser that is found so far."""

    def __init__(
        self,
        fitted: FittedTwin,
        spread: Mapping[str, float],
        spectra: Float[Tensor, "n k p q"],
        small: Float[Tensor, "n m m"],
        settings: Refinement,
    ) -> None:
        self.twin, self.spread, self.settings = fitted.twin.requires_grad_(False), spread, settings
        self.spectra, self.small = spectra - fitted.noise.mean, small - fitted.noise.small_mean
        self.certainty = [settings.share / (2 * fitted.facts[name]) for name in ("residual", "small_residual")]
        self.free = [name for name in NAMES if spread[name] > 0]
        self.diffuser = self.twin.mean_diffuser(1).each(lambda value: value.clone().requires_grad_())

    @property
    def scale(self) -> float:
        """Factor by which this diffuser makes a spectrum wider."""
        return self.diffuser.scale.mean().exp().item()

    def solve(self, images: Float[Tensor, "n s s"], steps: int, images_too: bool) -> Float[Tensor, "n s s"]:
        """Take steps of Adam from some images."""
        start = images.clone().clamp(SURE, 1 - SURE).logit()
        change = torch.zeros_like(start, requires_grad=images_too)
        groups = [{"params": [getattr(self.diffuser, name) for name in self.free], "lr": self.settings.diffuser_rate}]
        groups += [{"params": [change], "lr": self.settings.rate}] if images_too else []
        optimizer = torch.optim.Adam(groups)
        for _ in range(steps):
            optimizer.zero_grad()
            self._prior().backward()
            for rows in torch.arange(len(start)).split(CHUNK):
                loss = self._distance((start[rows] + change[rows]).sigmoid(), rows)
                (loss + self.settings.weight * change[rows].square().sum()).backward()
            optimizer.step()
        return (start + change).detach().sigmoid()

    def _prior(self) -> Tensor:
        parts = [(getattr(self.diffuser, name) / self.spread[name]).square().sum() / 2 for name in self.free]
        return torch.stack([torch.zeros(()), *parts]).sum()

    def _distance(self, images: Float[Tensor, "b s s"], rows: Tensor) -> Tensor:
        spectra, small = self.twin(images, self.diffuser.repeated(len(images)))
        of_spectra, of_small = self.certainty
        distance: Tensor = of_spectra * (spectra - self.spectra[rows]).square().sum()
        return distance + of_small * (small - self.small[rows]).square().sum()
