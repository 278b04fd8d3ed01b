"""A small set of noise in one file, as a laboratory would bring it."""

from pathlib import Path

import h5py
import torch


def write_lab_set(path: Path, frame: tuple[int, int], image: tuple[int, int], dark: float = 0.0) -> None:
    """16 training and 8 validation pairs of noise; ``dark`` is added to the frames."""
    generator = torch.Generator().manual_seed(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(format="spt speckle set", version=1, complete=True, splits=["train", "val_seen"])
        for split, count in (("train", 16), ("val_seen", 8)):
            file[f"{split}/speckle"] = (dark + torch.rand(count, *frame, generator=generator)).numpy()
            file[f"{split}/target"] = (torch.rand(count, *image, generator=generator) > 0.7).float().numpy()
            file[f"{split}/diffuser"] = torch.zeros(count, dtype=torch.int64).numpy()
