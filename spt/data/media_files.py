"""Measured media: transmission matrices of a fibre, point-spread functions of ground glass."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.files import open_frames, read_arrays
from spt.data.readers import data_folder
from spt.errors import InvalidValue, MissingFile
from spt.optics import Medium, ModeMatrixSetup, PointSpread, Setup
from spt.optics.draws import Generators, distinct
from spt.optics.resampling import area_resampled


@dataclass(frozen=True)
class MeasuredFibre(Setup):
    """A multimode fibre by its measured transmission matrices, one state of deformation a medium.

    The rows of a file's matrix are the output, the columns the input: between states of rest the two halves of the
    columns (the input polarisations, two arms of the modulator) drift against each other by 0.3 rad, the two halves
    of the rows (the output polarisations, two regions of one camera frame) by 0.002 rad. Neighbouring states are
    alike, so that a state left out of training may be near one that was not. The joint conjugation convention of
    matrices and modes is unknown; see :class:`spt.optics.ModeMatrixSetup` for what that changes.

    Args:
        root: folder of ``TM_modes_<position>.npz`` (``TM_corr_modes``) and ``conversion_matrices.npz``.
        window: side of objects and speckles [px].
        modulation: ``phase`` or ``amplitude``.
        polariser: record one output polarisation alone.
        positions: motor positions [mm] to take, as the files are named; None takes all.
    Raises:
        MissingFile: if the folder or a file is missing.
        InvalidValue: if a file is not what was expected.
    Source: Matthes et al., Phys. Rev. X 11, 021060 (2021), data and bases. Differs: scaled so that the largest
        singular value is 1; bases without the aberrations of the authors' setup.
    """

    root: str | None
    window: int = 64
    modulation: Literal["phase", "amplitude"] = "phase"
    polariser: bool = False
    positions: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _ = self.built

    @cached_property
    def built(self) -> ModeMatrixSetup:
        """The forward model, read from the files once."""
        folder = data_folder(self.root, "mmf_transmission_matrix", "data.source.setup.root")
        modes = read_arrays(folder / "conversion_matrices.npz", ["modes_in", "modes_out"])
        found = sorted((p.stem.removeprefix("TM_modes_") for p in folder.glob("TM_modes_*.npz")), key=float)
        positions = [str(p) for p in self.positions] if self.positions else found
        if not positions:
            raise MissingFile(f"{folder} holds no TM_modes_<position>.npz.")
        files = [folder / f"TM_modes_{position}.npz" for position in positions]
        matrices = torch.from_numpy(np.stack([read_arrays(file, ["TM_corr_modes"])["TM_corr_modes"] for file in files]))
        matrices = matrices / torch.linalg.matrix_norm(matrices, 2).max()
        modes_in, modes_out = (torch.from_numpy(modes[name]) for name in ("modes_in", "modes_out"))
        return ModeMatrixSetup(self.window, matrices, modes_in, modes_out, self.modulation, self.polariser)

    @property
    def measured(self) -> bool:
        """The states were recorded."""
        return True

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Medium:
        """Draw ``count`` different states: ``state`` (n,)."""
        return self.built.draw(count, rng, device)

    def intensity(self, objects: Float[Tensor, "b n n"], medium: Medium) -> Float[Tensor, "b n n"]:
        """Speckle intensity for objects in [0, 1], each through its own state of the fibre."""
        return self.built.intensity(objects, medium)


@dataclass(frozen=True)
class MeasuredPsf(PointSpread):
    """Speckle point-spread functions of ground glass, cut from measured frames: a tile of a position is a medium.

    Tiles of one position are independent. Positions 10 steps (0.5 mm) apart share 15 % by the memory effect.

    Args:
        root: folder of ``<position>.bmp``.
        size: side of a point-spread function [px].
        binning: side of the squares of pixels that are averaged first.
        positions: pinhole positions, as the files are named, in steps of 0.05 mm.
        floor: grey level of the background that is subtracted; what falls below is dark. A modelling choice.
    Raises:
        MissingFile: if the folder or a file is missing.
        InvalidValue: if a file is no image, or smaller than one tile.
    Source: github.com/spark6464/speckle_Memory-effect_range, measured behind 220-grit glass. Differs: cut to tiles.
    """

    root: str | None
    size: int = 64
    binning: int = 2
    positions: Sequence[int] = (-20, -10, 0, 10, 20)
    floor: float = 21.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.binning < 1 or not self.positions:
            raise InvalidValue(
                f"size and binning must be at least 1 and positions must name a file, got {self.size}, {self.binning} "
                f"and {list(self.positions)}."
            )
        _ = self.tiles

    @cached_property
    def tiles(self) -> Float[Tensor, "t k k"]:
        """Every point-spread function there is, each of sum 1."""
        folder = data_folder(self.root, "memory_effect_psf_220grit", "data.source.setup.psf.root")
        return torch.cat([self._cut(folder / f"{position}.bmp") for position in self.positions])

    @property
    def measured(self) -> bool:
        """The tiles were recorded."""
        return True

    def draw(self, count: int, rng: Generators, device: torch.device | str = "cpu") -> Float[Tensor, "n k k"]:
        """Draw ``count`` different point-spread functions.

        Raises:
            InvalidValue: if there are fewer tiles.
        """
        return self.tiles[distinct(count, len(self.tiles), "tiles of measured speckle", rng)].to(device)

    def _cut(self, path: Path) -> Float[Tensor, "t k k"]:
        frame = (open_frames(path)[0].float() - self.floor).clamp(min=0)
        rows, columns = (side // self.binning // self.size for side in frame.shape)
        if not rows * columns:
            raise InvalidValue(
                f"{path}: a frame of {tuple(frame.shape)} px, {self.binning}-fold binned, holds no tile of "
                f"{self.size} px. Use a smaller size or binning."
            )
        frame = area_resampled(frame, self.binning, rows * self.size, columns * self.size)
        tiles = frame.unflatten(0, (rows, self.size)).unflatten(2, (columns, self.size)).transpose(1, 2).flatten(0, 1)
        return tiles / tiles.sum((1, 2), keepdim=True)
