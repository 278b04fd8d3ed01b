"""Random numbers of the optics: drawn on the CPU, so that every device computes with the same ones."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spt.errors import InvalidValue

Generators = np.random.Generator | Sequence[np.random.Generator]
"""One generator for all that is drawn, or one for each medium or frame, which then depends on no other."""


def shares(rng: Generators, count: int) -> list[tuple[np.random.Generator, int]]:
    """Every generator and how many of ``count`` things it draws."""
    if isinstance(rng, np.random.Generator):
        return [(rng, count)]
    return [(one, count // len(rng)) for one in rng]


def normal(rng: Generators, shape: Sequence[int], device: torch.device | str = "cpu") -> Float[Tensor, "..."]:
    """Draw independent standard normal numbers in float32.

    Args:
        rng: source of the numbers; the same state gives the same numbers, whatever ``device`` is.
        shape: of the result, the things that are drawn along the first axis.
        device: where the result goes.
    Source: Box & Muller, Ann. Math. Stat. 29, 610 (1958); faster than ``rng.standard_normal``.
    """
    generators = shares(rng, 1)
    count = math.prod(shape) // len(generators)
    half = (count + 1) // 2
    uniform = np.empty((len(generators), 2, half), np.float32)
    for (one, _), row in zip(generators, uniform, strict=True):
        one.random(out=row, dtype=np.float32)
    first, second = torch.from_numpy(uniform).unbind(1)
    radius = first.neg_().add_(1).log_().mul_(-2).sqrt_()  # 1 - u lies in (0, 1]
    angle = second.mul_(2 * math.pi)
    numbers = torch.stack([radius * angle.cos(), radius * angle.sin()], 1).flatten(1)
    return numbers[:, :count].reshape(tuple(shape)).to(device)


def distinct(count: int, available: int, what: str, rng: Generators) -> list[int]:
    """Draw ``count`` different numbers below ``available``, all from the first generator.

    Raises:
        InvalidValue: if there are fewer.
    """
    if count > available:
        raise InvalidValue(
            f"{count} media were asked for, but there are only {available} {what}. Lower data.source.train_diffusers "
            "or data.source.unseen_diffusers."
        )
    return shares(rng, count)[0][0].permutation(available)[:count].tolist()
