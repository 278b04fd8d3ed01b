"""A fitted twin as one HDF5 file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor, nn

from spt.errors import InvalidValue, MissingFile
from spt.files import atomic
from spt.optics.twin.fit import Diffusers
from spt.optics.twin.grid import SpectrumGrid
from spt.optics.twin.model import Twin
from spt.optics.twin.noise import TwinNoise

FORMAT, VERSION = "spt twin", 2


@dataclass(frozen=True)
class FittedTwin:
    """A twin with what was found beside it.

    Args:
        twin: the forward model.
        diffusers: how the measured diffusers differ.
        noise: what the model leaves unexplained.
        facts: numbers on the fit, as JSON types.
    """

    twin: Twin
    diffusers: Diffusers
    noise: TwinNoise
    facts: Mapping[str, Any]


def save_twin(path: Path, fitted: FittedTwin) -> None:
    """Write a twin, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    twin = fitted.twin
    with atomic(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, grid=json.dumps(asdict(twin.grid)), side=twin.side)
        file.attrs.update(facts=json.dumps(fitted.facts, allow_nan=False))
        for group in ("twin", "diffusers", "noise"):
            module: nn.Module = getattr(fitted, group)
            for name, value in module.state_dict().items():
                file[f"{group}/{name}"] = value.numpy()


def open_twin(path: Path) -> FittedTwin:
    """Read a twin.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if it is no twin of this version.
    """
    if not path.is_file():
        raise MissingFile(f"{path} is not there. Fit a twin first: python scripts/fit_twin.py data=… out={path}.")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                raise InvalidValue(f"{path} is not a twin that this version of spt wrote. Fit it again.")
            parts = {group: _tensors(file[group]) for group in ("twin", "diffusers", "noise")}
            settings, facts = json.loads(file.attrs["grid"]), json.loads(file.attrs["facts"])
            side = int(file.attrs["side"])
    except (OSError, KeyError) as error:
        raise InvalidValue(f"{path} cannot be read as a twin: {error}. Fit it again.") from error
    grid = SpectrumGrid(**{**settings, "size": tuple(settings["size"])})
    twin, diffusers = Twin(side, grid, 1.0), Diffusers(len(parts["diffusers"]["gain"]), grid.windows**2)
    twin.load_state_dict(parts["twin"])
    diffusers.load_state_dict(parts["diffusers"])
    return FittedTwin(twin, diffusers, TwinNoise(grid, parts["noise"]), facts)


def _tensors(group: h5py.Group) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(group[name][()]) if group[name].shape else torch.tensor(group[name][()])
        for name in group
    }
