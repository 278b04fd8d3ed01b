"""Whether the power spectra of frames hold the object, whatever the grains."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.preparation import Spectra
from spt.data.preparation.base import PIECE
from spt.errors import InvalidValue

LEAST_FRAMES, LEAST_SIDE = 8, 64
"""Below, nothing is said."""

CLEAR, SOME = 0.5, 0.1
"""Excess of the correlation that is called clear, and that is called some."""

LIMIT = 0.47
"""A spectrum that reaches further [cycles/px] is cut by the camera, which ends at 0.5."""

SIZE = (32, 32)


@dataclass(frozen=True)
class SpectrumAgreement:
    """How much the spectra of the left and the right half of a frame have in common.

    The two halves show the same object by different grains, as two diffusers do. What they have in common beyond the
    mean of all frames is of the object, or of what else changes from frame to frame.

    Args:
        own: mean correlation between the halves of one frame.
        null: the same between halves of different frames.
        sem: standard error of ``own``.
        reach: of the spectrum [cycles/px].
    """

    own: float
    null: float
    sem: float
    reach: float

    def sentences(self) -> list[str]:
        """What it means for a network on spectra."""
        excess = self.own - self.null
        numbers = f"correlation {self.own:.2f} ± {self.sem:.2f}, {self.null:.2f} with other frames"
        if excess > CLEAR:
            said = [
                f"the spectra of the left and the right half of a frame agree ({numbers}): they hold the object, "
                "whatever the grains. preparation@data.preparation=spectra can see through diffusers that were never "
                "measured."
            ]
        elif excess > max(SOME, 4 * self.sem):
            said = [
                f"the spectra of the left and the right half of a frame agree a little ({numbers}). Try "
                "preparation@data.preparation=spectra, and look at an unseen diffuser."
            ]
        else:
            said = [
                f"the spectra of the left and the right half of a frame do not agree ({numbers}): they do not hold the "
                "object. preparation@data.preparation=spectra will see nothing new."
            ]
        if self.reach > LIMIT:
            said.append(
                f"the spectrum reaches {self.reach:.2f} cycles/px of 0.5: the camera cuts it. Magnify, do not bin."
            )
        return said


def spectrum_agreement(speckle: Float[Tensor, "n h w"]) -> SpectrumAgreement | None:
    """Compare the halves of frames; None where frames are too few, too small or alike.

    Args:
        speckle: frames of different objects through one diffuser, none of them constant.
    """
    if len(speckle) < LEAST_FRAMES or min(speckle.shape[1:]) < LEAST_SIDE:
        return None
    preparation = Spectra(10)
    try:
        preparation.fit(speckle, SIZE)
    except InvalidValue:  # the frames are alike
        return None
    spectra = torch.cat([preparation.windows_and_small(part[:, None])[0] for part in speckle.split(PIECE)])
    left, right = (_centred(spectra.unflatten(1, (3, 3))[:, :, column].mean(1)) for column in (0, 2))
    products = left @ right.T
    own = products.diagonal()
    null = (products.sum() - own.sum()) / (len(own) * (len(own) - 1))
    edge = preparation.edge
    assert edge is not None
    return SpectrumAgreement(own.mean().item(), null.item(), own.std().item() / len(own) ** 0.5, float(edge))


def _centred(spectra: Float[Tensor, "n p q"]) -> Float[Tensor, "n m"]:
    """What differs from the mean of all frames, as vectors of length 1."""
    rest = (spectra - spectra.mean(0)).flatten(1)
    return rest / rest.norm(dim=1, keepdim=True).clamp(min=1e-30)
