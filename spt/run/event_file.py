"""Pictures and texts of files for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def write_event_file(out: Path, ending: str, pictures: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write an event file; an earlier one of the same command is replaced, and no other.

    Args:
        out: folder of the results.
        ending: how the names of this command's event files end.
        pictures: tag to picture.
        texts: tag to text.
    """
    from torch.utils.tensorboard import SummaryWriter  # a command starts faster without it

    for old in out.glob(f"events.out.tfevents.*{ending}"):
        old.unlink()
    with SummaryWriter(str(out), filename_suffix=ending) as writer:
        for tag, path in pictures.items():
            writer.add_image(tag, red_green_blue(path), dataformats="HWC")
        for tag, text in texts.items():
            writer.add_text(tag, text)


def red_green_blue(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a picture."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
