"""Muon, the default optimizer."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import timm.optim
import torch
from timm.optim import muon
from timm.optim.muon import zeropower_via_newtonschulz
from torch import Tensor

from spt.precision import has_bfloat16


class Muon(timm.optim.Muon):
    """timm's Muon, with matrix products in float32 where the hardware has no bfloat16 arithmetic.

    timm computes them in bfloat16 and has no option for it. A CPU that must emulate bfloat16 takes many times as long
    for them as in float32. The arguments are those of timm.optim.Muon.

    Source: Jordan and others 2024 (docs/references.md).
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; return what ``closure`` returns."""
        with patch.object(muon, "zeropower_via_newtonschulz", orthogonal):
            return super().step(closure)


def orthogonal(gradient: Tensor, steps: int, coefficients: list[tuple[float, float, float]], **options: Any) -> Tensor:
    """Bring the singular values of a matrix near 1, by timm's Newton-Schulz iteration. Shape: (n, m) -> (n, m)."""
    dtype = torch.bfloat16 if has_bfloat16(gradient.device) else torch.float32
    return zeropower_via_newtonschulz(gradient, steps, coefficients, dtype=dtype, **options)
