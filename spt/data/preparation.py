"""What happens to a recorded speckle before the network sees it."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Shaped
from torch import Tensor

from spt.errors import InvalidValue


@dataclass(frozen=True)
class Preparation:
    """Compress the intensities, then bring every frame to one scale, each on its own.

    Args:
        transform: ``sqrt`` (amplitude; learns best) or ``none``.
        scale: ``standardize`` (mean 0, standard deviation 1), ``maximum`` (divide by the frame's maximum, as the deep
            speckle correlation network was trained) or ``none``.
    Raises:
        InvalidValue: if a choice is unknown.
    """

    transform: Literal["sqrt", "none"] = "sqrt"
    scale: Literal["standardize", "maximum", "none"] = "standardize"

    def __post_init__(self) -> None:
        if self.transform not in ("sqrt", "none"):
            raise InvalidValue(f"data.preparation.transform must be 'sqrt' or 'none', got {self.transform!r}.")
        if self.scale not in ("standardize", "maximum", "none"):
            raise InvalidValue(
                f"data.preparation.scale must be 'standardize', 'maximum' or 'none', got {self.scale!r}."
            )

    def __call__(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
        """Prepare one frame or many; a constant frame becomes zeros, a dark one stays dark."""
        x = speckle.float()
        if self.transform == "sqrt":
            x = x.sqrt()
        if self.scale == "maximum":
            peak = x.amax((-2, -1), keepdim=True)
            x = (x / peak).masked_fill(peak == 0, 0)
        if self.scale == "standardize":
            mean = x.mean((-2, -1), keepdim=True)
            x = x - mean
            std = x.std((-2, -1), keepdim=True)
            # Relative to the level: what rounding leaves of a bright constant frame is not contrast, and a dim frame
            # is not constant. NaN compares false and so stays NaN, for collate to refuse.
            x = (x / std).masked_fill(std <= 1e-6 * mean.abs(), 0)
        return x
