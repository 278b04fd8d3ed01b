"""Which precision a number is computed in, whatever precision the network runs in."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Promote half precision to float32: sums over 65,536 pixels overflow in it, and a sigmoid loses digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_float64(x: Tensor) -> Tensor:
    """Convert to float64, on the CPU if the device has no float64 (Apple's MPS)."""
    return x.cpu().double() if x.device.type == "mps" else x.double()
