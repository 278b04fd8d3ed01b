"""The one check of a network's input size."""

from torch import Tensor


def check_size(speckle: Tensor, divisor: int, network: str) -> None:
    """Refuse a size that the network's halvings do not divide, and say which sizes work.

    Args:
        speckle: input (b, c, h, w).
        divisor: what height and width must be multiples of.
        network: its name in the message.
    Raises:
        ValueError: naming the divisor and the nearest sizes that work.
    """
    h, w = speckle.shape[-2:]
    if h % divisor or w % divisor or not h or not w:
        down = tuple(max(divisor, n // divisor * divisor) for n in (h, w))
        up = tuple(max(divisor, -(-n // divisor) * divisor) for n in (h, w))
        raise ValueError(
            f"{network}: height and width must be multiples of {divisor}, got {h}x{w}. "
            f"Nearest sizes that work: {down[0]}x{down[1]} and {up[0]}x{up[1]}."
        )
