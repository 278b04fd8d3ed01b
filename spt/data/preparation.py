"""What happens to a recorded speckle before the network sees it."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Preparation:
    """Compress the intensities, then standardise every frame on its own.

    Args:
        transform: ``sqrt`` (amplitude; learns best) or ``none``.
        standardize: subtract the frame's mean and divide by its standard deviation.
    Raises:
        ValueError: if ``transform`` is unknown.
    """

    transform: Literal["sqrt", "none"] = "sqrt"
    standardize: bool = True

    def __post_init__(self) -> None:
        if self.transform not in ("sqrt", "none"):
            raise ValueError(f"data.preparation.transform must be 'sqrt' or 'none', got {self.transform!r}.")

    def __call__(self, speckle: Shaped[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
        """Prepare one frame or many; a constant frame becomes zeros."""
        x = speckle.float()
        if self.transform == "sqrt":
            x = x.sqrt()
        if self.standardize:
            mean = x.mean((-2, -1), keepdim=True)
            x = x - mean
            std = x.std((-2, -1), keepdim=True)
            # Relative to the level: what rounding leaves of a bright constant frame is not contrast, and a dim frame
            # is not constant. NaN compares false and so stays NaN, for collate to refuse.
            x = (x / std).masked_fill(std <= 1e-6 * mean.abs(), 0)
        return x
