"""Measured speckles: one file a diffuser, all of them showing the same objects frame by frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.files import read_arrays
from spt.data.pairs import Pairs
from spt.data.readers import check_intensities, data_folder
from spt.data.source import Source
from spt.errors import InvalidValue


@dataclass(frozen=True)
class MeasuredDiffusers(Source):
    """Split measured frames by object and by diffuser.

    ``train``: later objects through the trained diffusers. ``val_seen``: the first ``validation`` objects through
    the trained diffusers. ``test_unseen``: the same first objects through the diffusers held out; nothing of these
    diffusers is used for training or selection.

    Args:
        root: folder of the files.
        speckle_files: diffuser number to ``.npz`` file with ``speckle`` (frames, h, w).
        object_file: ``.npz`` file with ``object28`` (frames, h, w) uint8, object k belonging to frame k.
        size: side of speckles and targets [px]; frames are averaged down to it.
        validation: number of first frames kept for validation.
        unseen_diffusers: diffusers held out.
        object_scale: side of the upsampled object relative to the frame; the middle is kept.
        threshold: objects above are 1, below 0; None keeps them grey.
    Raises:
        InvalidValue: if the numbers do not fit the files or each other.
        MissingFile: if the folder or a file is missing.
    """

    root: str | None
    speckle_files: Mapping[Any, str]
    object_file: str
    size: int
    validation: int
    unseen_diffusers: Sequence[int]
    object_scale: float
    threshold: float | None

    def __post_init__(self) -> None:
        # A number that is added on the command line arrives as text.
        object.__setattr__(self, "speckle_files", {_number(d): name for d, name in self.speckle_files.items()})
        if not set(self.unseen_diffusers) < set(self.speckle_files):
            raise InvalidValue(
                f"data.source.unseen_diffusers = {list(self.unseen_diffusers)} must leave at least one of "
                f"{sorted(self.speckle_files)} to train on."
            )
        if self.object_scale < 1:
            raise InvalidValue(f"data.source.object_scale must be at least 1, got {self.object_scale}.")

    def prepare(self) -> None:
        """Check that the folder is there before anything is built."""
        self._folder()

    def load(self) -> dict[str, Pairs]:
        """Read the files and split them."""
        folder = self._folder()
        objects = read_arrays(folder / self.object_file, ["object28"])["object28"]
        if objects.ndim != 3 or objects.dtype != np.uint8:
            raise InvalidValue(
                f"{folder / self.object_file}: expected object28 as uint8 of shape (frames, h, w), got "
                f"{objects.dtype} of shape {objects.shape}."
            )
        target = targets(torch.from_numpy(objects), self.size, self.object_scale, self.threshold)
        if not 0 < self.validation < len(objects):
            raise InvalidValue(
                f"data.source.validation must leave frames to train on: 1 to {len(objects) - 1}, got {self.validation}."
            )
        frames = {d: self._frames(folder / name, len(objects)) for d, name in sorted(self.speckle_files.items())}
        seen = [d for d in frames if d not in self.unseen_diffusers]
        first, later = slice(0, self.validation), slice(self.validation, None)
        plan = {
            "train": (seen, later),
            "val_seen": (seen, first),
            "test_unseen": (list(self.unseen_diffusers), first),
        }
        return {
            name: Pairs(
                name,
                torch.cat([frames[d][part] for d in diffusers]),
                torch.cat([target[part] for _ in diffusers]),
                torch.cat([torch.full((len(target[part]),), d) for d in diffusers]),
                {"object": torch.arange(len(target))[part].repeat(len(diffusers))},
            )
            for name, (diffusers, part) in plan.items()
            if diffusers
        }

    def _folder(self) -> Path:
        return data_folder(self.root, "real_220grit", "data.source.root")

    def _frames(self, path: Path, count: int) -> Shaped[Tensor, "n h w"]:
        speckle = read_arrays(path, ["speckle"])["speckle"]
        if speckle.ndim != 3 or len(speckle) != count:
            raise InvalidValue(f"{path}: expected speckle of shape ({count}, h, w), got {speckle.shape}.")
        if min(speckle.shape[1:]) < self.size:
            raise InvalidValue(
                f"{path}: frames of {speckle.shape[1:]} px are smaller than data.source.size = {self.size}."
            )
        if speckle.shape[1] != speckle.shape[2]:
            raise InvalidValue(
                f"{path}: frames of {speckle.shape[1]}x{speckle.shape[2]} px are not square, and targets of "
                f"{self.size}x{self.size} px would not match them. Cut the frames to squares."
            )
        check_intensities(speckle, path)
        frames = torch.from_numpy(speckle)
        if frames.shape[1:] == (self.size, self.size):
            return frames
        return F.interpolate(frames.float()[:, None], (self.size, self.size), mode="area")[:, 0]


def _number(diffuser: int | str) -> int:
    try:
        return int(diffuser)
    except ValueError:
        raise InvalidValue(f"data.source.speckle_files: {diffuser!r} is no number of a diffuser.") from None


def targets(objects: Tensor, size: int, scale: float, threshold: float | None) -> Float[Tensor, "n h w"]:
    """Upsample uint8 objects to ``scale * size`` px, keep the middle ``size`` px, threshold; values in [0, 1].

    Source: the geometry recovered for zcshinee/Scattering (upright, about 1.04 x 256/28, threshold about 0.6).
        Differs: bilinear interpolation; the authors' is not stated.
    """
    full = round(scale * size)
    edge = (full - size) // 2
    image = F.interpolate(objects[:, None].float() / 255, (full, full), mode="bilinear", align_corners=False)
    image = image[:, 0, edge : edge + size, edge : edge + size]
    return image.clamp(0, 1) if threshold is None else (image > threshold).float()
