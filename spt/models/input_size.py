"""The checks of a network's input size."""

from torch import Tensor

from spt.errors import InvalidValue, WrongSize


def check_size(speckle: Tensor, divisor: int, network: str, training: bool = False) -> None:
    """Refuse an input that the network's halvings do not divide, and say which sizes work.

    Args:
        speckle: input (b, c, h, w).
        divisor: what height and width must be multiples of; the deepest map has 1 / divisor of the size.
        network: its name in the message.
        training: whether BatchNorm at the deepest map takes its statistics from this batch; one value has none.
    Raises:
        WrongSize: naming the divisor and the nearest sizes that work.
        InvalidValue: naming the least batch.
    """
    b, h, w = speckle.shape[0], *speckle.shape[-2:]
    if h % divisor or w % divisor or not h or not w:
        down = tuple(max(divisor, n // divisor * divisor) for n in (h, w))
        up = tuple(max(divisor, -(-n // divisor) * divisor) for n in (h, w))
        raise WrongSize(
            f"{network}: height and width must be multiples of {divisor}, got {h}x{w}.",
            f"Nearest sizes that work: {down[0]}x{down[1]} and {up[0]}x{up[1]}.",
            divisor,
        )
    if training and b * h * w == divisor**2:
        raise InvalidValue(one_value(network, h, w))


def one_value(network: str, h: int, w: int) -> str:
    """The message for a batch that leaves BatchNorm a single value."""
    return (
        f"{network}: of one {h}x{w} image the deepest map is one pixel, and BatchNorm cannot train on one value. "
        "Set data.batch_size to 2 or more."
    )
