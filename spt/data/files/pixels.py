"""Pixels of a file as pixels of torch."""

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from spt.data.files.settings import CHANNELS, FileSettings
from spt.errors import InvalidValue

SAME = {
    np.dtype(name): getattr(torch, name)
    for name in ("bool", "uint8", "uint16", "int8", "int16", "int32", "float16", "float32")
}
LUMINANCE = (0.299, 0.587, 0.114)


def pixel_type(dtype: np.dtype) -> torch.dtype:
    """Type in torch: the same, float32 for wider floats, int32 for wider integers."""
    here = dtype.newbyteorder("=")
    if here == np.dtype(np.float16):
        return torch.float32
    return SAME.get(here) or (torch.float32 if dtype.kind == "f" else torch.int32)


def to_pixels(array: Shaped[np.ndarray, "..."], name: str) -> Shaped[Tensor, "..."]:
    """Pixels in the byte order of this machine, as a tensor.

    Raises:
        InvalidValue: if an integer does not fit into 32 bits.
    """
    kind = pixel_type(array.dtype)
    if kind == torch.int32 and array.dtype.itemsize >= 4 and array.dtype.newbyteorder("=") != np.dtype(np.int32):
        low, high = array.min(initial=0), array.max(initial=0)
        if low < -(2**31) or high >= 2**31:
            raise InvalidValue(
                f"{name} holds {max(high, -low)}, and whole numbers below 2**31 are read. Scale the file."
            )
    wanted = np.dtype(str(kind).removeprefix("torch."))
    return torch.from_numpy(np.require(array, wanted, ["C", "W"]))


def one_channel(
    images: Shaped[np.ndarray, "b h w c"], settings: FileSettings, name: str
) -> Shaped[np.ndarray, "b h w"]:
    """Take what the settings say of colour images; one channel needs no setting.

    Raises:
        InvalidValue: if they say nothing, or name a channel that is not there.
    Source: the luminance of Rec. 601. Differs: nothing.
    """
    count = images.shape[-1]
    if count == 1 or (count == 2 and settings.colour is None):  # grey, or grey with an opacity
        return images[..., 0]
    check_colour(count, settings, name)
    if settings.colour == "luminance":
        grey = images[..., :3] @ np.array(LUMINANCE)
        whole = images.dtype.kind in "ui"
        return (grey.round() if whole else grey).astype(images.dtype)
    return images[..., channel_number(settings)]


def channel_number(settings: FileSettings) -> int:
    """Number of the channel that the settings name."""
    return settings.colour if isinstance(settings.colour, int) else CHANNELS[str(settings.colour)]


def check_colour(count: int, settings: FileSettings, name: str) -> None:
    """Refuse colour that no setting reduces to one channel.

    Raises:
        InvalidValue: if nothing is set, or the channel is not there.
    """
    if settings.colour is None:
        raise InvalidValue(
            f"{name} is a colour image ({count} channels), and one channel is needed. Set {settings.prefix}"
            "colour=luminance, or red, green, blue or a channel's number from 0."
        )
    if settings.colour == "luminance" and count < 3:
        raise InvalidValue(
            f"{name} has {count} channels, and {settings.prefix}colour=luminance needs red, green, blue."
        )
    if settings.colour != "luminance" and channel_number(settings) >= count:
        raise InvalidValue(
            f"{name} has {count} channels, and {settings.prefix}colour={settings.colour} is none of them (0 to "
            f"{count - 1})."
        )
