"""Random numbers of the optics: drawn on the CPU, so that every device computes with the same ones."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue


def normal(rng: np.random.Generator, shape: Sequence[int], device: torch.device | str = "cpu") -> Float[Tensor, "..."]:
    """Draw independent standard normal numbers in float32.

    Args:
        rng: source of the numbers; the same state gives the same numbers, whatever ``device`` is.
        shape: of the result.
        device: where the result goes.
    Source: Box & Muller, Ann. Math. Stat. 29, 610 (1958); faster than ``rng.standard_normal``.
    """
    count = math.prod(shape)
    uniform = torch.from_numpy(rng.random((2, (count + 1) // 2), dtype=np.float32))
    radius = uniform[0].neg_().add_(1).log_().mul_(-2).sqrt_()  # 1 - u lies in (0, 1]
    angle = uniform[1].mul_(2 * math.pi)
    numbers = torch.cat([radius * angle.cos(), radius * angle.sin()])
    return numbers[:count].reshape(tuple(shape)).to(device)


def distinct(count: int, available: int, what: str, rng: np.random.Generator) -> list[int]:
    """Draw ``count`` different numbers below ``available``.

    Raises:
        InvalidValue: if there are fewer.
    """
    if count > available:
        raise InvalidValue(
            f"{count} media were asked for, but there are only {available} {what}. Lower data.source.train_diffusers "
            "or data.source.unseen_diffusers."
        )
    return rng.permutation(available)[:count].tolist()
