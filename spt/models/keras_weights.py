"""Weights of the published deep speckle network, from Keras' HDF5 files into ours."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from spt.errors import InvalidValue, MissingFile
from spt.models.deep_speckle import DeepSpeckle

CONVOLUTION = {"kernel": "weight", "bias": "bias"}
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
"""Keras' names of a layer's arrays, in Keras' order, to ours."""

PREPARATION = {"transform": "none", "scale": "maximum"}
"""How the published network's frames were prepared: divided by their maximum; names of `data.preparation`."""


@dataclass(frozen=True)
class Layer:
    """Arrays of one layer by our names, in torch's order of axes."""

    name: str
    arrays: dict[str, Tensor]

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What a layer must agree in."""
        return tuple((name, tuple(array.shape)) for name, array in self.arrays.items())


def convert(path: Path) -> dict[str, Tensor]:
    """Read a weights file of Keras as the state_dict of :class:`DeepSpeckle`.

    Args:
        path: `save_weights` of Keras 2 or 3 (legacy ``.h5``), ``model.save`` as ``.h5``, or ``.weights.h5``.
    Returns:
        A state_dict that loads strictly.
    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if the file is no weights file, or a layer is unknown, missing, left over or of another shape.
    """
    layers = read_layers(path)
    with torch.device("meta"):
        model = DeepSpeckle()
    state = {
        name: torch.zeros((), dtype=torch.long) for name in model.state_dict() if name.endswith("num_batches_tracked")
    }
    for kind, names in ((nn.Conv2d, CONVOLUTION), (nn.BatchNorm2d, BATCH_NORM)):
        expected = [
            Layer(name, {ours: getattr(module, ours) for ours in names.values()})
            for name, module in model.named_modules()
            if isinstance(module, kind)
        ]
        found = [layer for layer in layers if set(layer.arrays) == set(names.values())]
        for ours, theirs in _matched(path, expected, found):
            state |= {f"{ours.name}.{name}": array for name, array in theirs.arrays.items()}
    return state


def read_layers(path: Path) -> list[Layer]:
    """Read every layer that has arrays, in the order of the network; the optimizer's state is left out.

    Raises:
        MissingFile: if there is no such file.
        InvalidValue: if the file is no weights file of Keras, or a layer is neither convolution nor BatchNorm.
    """
    if not path.is_file():
        raise MissingFile(f"{path}: no such file.")
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs or "layer_names0" in root.attrs:
                return [_layer(path, name, arrays) for name, arrays in _legacy(root) if arrays]
            if isinstance(root.get("layers"), h5py.Group):
                return [_layer(path, name, arrays) for name, arrays in _keras_3(root["layers"]) if arrays]
    except OSError as error:
        raise InvalidValue(
            f"{path} is no HDF5 file. A .keras archive: save it with model.save_weights first."
        ) from error
    raise InvalidValue(f"{path} holds no Keras weights: neither layer_names nor layers is in it.")


def _legacy(root: h5py.Group) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for name in _names(root, "layer_names"):
        group = root[name]
        paths = _names(group, "weight_names")
        yield name, {path.rpartition("/")[2].removesuffix(":0"): np.asarray(group[path]) for path in paths}


def _names(group: h5py.Group, attribute: str) -> list[str]:
    # Keras cuts a list that is too long for one attribute into attribute0, attribute1, ...
    parts = [attribute] if attribute in group.attrs else _numbered([k for k in group.attrs if k.startswith(attribute)])
    return [n.decode() if isinstance(n, bytes) else str(n) for part in parts for n in group.attrs[part]]


def _keras_3(layers: h5py.Group) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    names = {2: list(CONVOLUTION), 4: list(BATCH_NORM)}
    for name in _numbered(list(layers)):
        arrays = [np.asarray(layers[name]["vars"][k]) for k in _numbered(list(layers[name].get("vars", ())))]
        known = names.get(len(arrays), [f"array {k}" for k in range(len(arrays))])
        yield name, dict(zip(known, arrays, strict=True))


def _numbered(names: list[str]) -> list[str]:
    """Sort conv2d, conv2d_1, ..., conv2d_10 by number: HDF5 lists by letter."""
    return sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)$", name)][:2])


def _layer(path: Path, name: str, arrays: dict[str, np.ndarray]) -> Layer:
    for names in (CONVOLUTION, BATCH_NORM):
        if set(arrays) == set(names) and all(np.issubdtype(a.dtype, np.floating) for a in arrays.values()):
            tensors = {ours: torch.from_numpy(arrays[theirs]).float() for theirs, ours in names.items()}
            if tensors["weight"].ndim == 4:
                tensors["weight"] = tensors["weight"].permute(3, 2, 0, 1).contiguous()
            return Layer(name, tensors)
    raise InvalidValue(
        f"{path}: layer {name} is unknown: its arrays {', '.join(arrays)} are those of neither a convolution "
        f"({', '.join(CONVOLUTION)}) nor a BatchNorm ({', '.join(BATCH_NORM)})."
    )


def _matched(path: Path, expected: Sequence[Layer], found: Sequence[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Pair layers in order; where the shapes do not run alike, say which layer is missing, left over or different."""
    ours, theirs = ([layer.shapes for layer in layers] for layers in (expected, found))
    for what, i1, i2, j1, j2 in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if what != "equal":
            has, needs = (", ".join(map(_described, part)) or "nothing" for part in (found[j1:j2], expected[i1:i2]))
            raise InvalidValue(
                f"{path} is not the deep speckle network: where it has {has}, the network needs {needs}. "
                f"({len(found)} layers of this kind in the file, {len(expected)} in the network.)"
            )
    yield from zip(expected, found, strict=True)


def _described(layer: Layer) -> str:
    return f"{layer.name} {tuple(layer.arrays['weight'].shape)}"
