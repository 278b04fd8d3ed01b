"""Which precision a number is computed in, and which precisions the hardware has."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Promote half precision to float32: sums over 65,536 pixels overflow in it, and a sigmoid loses digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_float64(x: Tensor) -> Tensor:
    """Convert to float64, on the CPU if the device has no float64 (Apple's MPS)."""
    return x.cpu().double() if x.device.type == "mps" else x.double()


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether the hardware computes in bfloat16: GPUs of NVIDIA from 8.0 on, CPUs with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capable = torch.cpu.get_capabilities()
        return bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))
    return False
