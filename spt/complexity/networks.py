"""What networks cost: operations, memory and graph, data types."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from spt.complexity.footprint import TrainingMemory, file_bytes, training_memory
from spt.complexity.operators import OTHERS, PRODUCTS
from spt.complexity.profile import Profile, profile
from spt.complexity.sheet import Row, Sheet
from spt.errors import InvalidValue

Builder = Callable[[], nn.Module]
Builders = Mapping[str, Builder]

DATA_TYPES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16, bfloat16"}
SHORT = {
    "convolution": "conv",
    "dilated convolution": "dilated conv",
    "transposed convolution": "transp. conv",
    "interpolation": "interp.",
    "normalisation": "norm",
    "activation": "activ.",
    "arithmetic": "arithm.",
}


class Cost(NamedTuple):
    """What one network costs at one size in one data type.

    Args:
        network: config name.
        model: the network.
        px: image side.
        dtype: of weights and activations.
        profile: of one forward pass of the batch.
        training: memory of a training step on the batch.
    """

    network: str
    model: nn.Module
    px: int
    dtype: torch.dtype
    profile: Profile
    training: TrainingMemory


def measure(network: str, model: nn.Module, px: int, batch: int, dtype: torch.dtype = torch.float32) -> Cost:
    """Count one network at one size.

    Raises:
        ValueError: if the network refuses the size.
    """
    speckle = torch.zeros(batch, 1, px, px)
    counted = profile(model, speckle, dtype=dtype)
    return Cost(network, model, px, dtype, counted, training_memory(model, speckle, dtype))


def measure_all(builders: Builders, sizes: Iterable[int], batch: int) -> tuple[list[Cost], list[str]]:
    """Count every network at every size; a size that a network refuses is named in the second list.

    Raises:
        InvalidValue: if no network takes any of the sizes.
    """
    costs, refused = [], []
    for name, build in builders.items():
        model = build()
        for px in sizes:
            try:
                costs.append(measure(name, model, px, batch))
            except ValueError as error:
                refused.append(f"{name} at {px} px: {error}")
    if not costs:
        raise InvalidValue(" ".join(refused) or "no size was given: size=[200,224,256].")
    return costs, refused


def operations(costs: Iterable[Cost]) -> Sheet:
    """Operations of one image, line by line, with the notes' formulas as the last columns."""
    rows: list[Row] = []
    for cost in costs:
        p, giga = cost.profile, 1e9 * cost.profile.batch
        row: Row = {"network": cost.network, "px": cost.px}
        row |= {SHORT.get(name, name): round(p.of(name).macs / giga, 5) for name in PRODUCTS}
        row["GMAC"] = p.macs / giga
        for name in OTHERS:  # activations include the softmax inside of attention, as if it were spelled out
            row[SHORT.get(name, name)] = round(p.of(name, *(PRODUCTS if name == "activation" else ())).other / giga, 5)
        row |= {"2 GMAC": p.flops / giga, "+ others": (p.flops + p.other) / giga}
        row |= {note: sum(call.notes[k] for call in p.calls) / giga for k, note in enumerate(("notes", "2nd note"))}
        rows.append(row | {"not counted": ", ".join(p.uncounted) or "nothing"})
    empty = {key for key in rows[0] if not any(row[key] for row in rows)}
    rows = [{key: value for key, value in row.items() if key not in empty} for row in rows]
    notes = [
        "Left of GMAC, their sum: multiply-accumulates of matrix products. Right of it: every other operation, one "
        "per element and function (conventions: spt/complexity/operators.py); the softmax of attention is an "
        "activation. Copies cost no operation. 2 GMAC: FLOPs as torch counts them. + others: all operations.",
        "notes: their formulas, (2 Cin Kh Kw - 1) Cout H W at the INPUT's size (too high under stride), linear "
        "layers and attention's products in MACs as printed. 2nd note: H' W' n (h w c + 1), convolutions alone.",
    ]
    return Sheet("operations", "Operations of one image, 1e9", rows, notes)


def structure(costs: Iterable[Cost]) -> Sheet:
    """Parameters, memory, and the shape of the graph."""
    rows: list[Row] = []
    for cost in costs:
        p, field = cost.profile, max(cost.profile.receptive_field)
        row: Row = {"network": cost.network, "px": cost.px}
        row["trainable"] = sum(p.numel() for p in cost.model.parameters() if p.requires_grad)
        row["buffers"] = sum(b.numel() for b in cost.model.buffers())
        row |= _bytes(cost) | {"longest path, operators": p.depth}
        row["path between borders"] = "none" if p.path_length is None else p.path_length
        row["receptive field, px"] = "whole image" if math.isinf(field) else int(field)
        rows.append(row)
    notes = [
        "Memory from shapes alone, without the workspaces of the arithmetic: peak inference = weights + tensors "
        "alive at once; peak training = weights + gradients + AdamW's moments + tensors alive. Memory access: each "
        "operator reads its inputs and writes its outputs, nothing fused but attention; where torch has no fused "
        "kernel for it on a CPU (SA-CNN: values wider than queries), its matrix is in the peak.",
        "Longest path: minimum number of sequential operations. Path between borders: fewest operators that mix "
        "positions between an output pixel at one border and an input pixel at the other (maximum path length).",
    ]
    return Sheet("structure", f"Memory and graph, batch {p.batch}, float32", rows, notes)


def _bytes(cost: Cost) -> Row:
    p = cost.profile
    return {
        "weights file, MB": file_bytes(cost.model, cost.dtype) / 1e6,
        "memory access, GB": p.bytes / 1e9,
        "op/byte": p.intensity,
        "activations kept for backward, MB": cost.training.saved / 1e6,
        "peak inference, MB": (p.state_bytes + p.activation_bytes) / 1e6,
        "peak training, MB": cost.training.total / 1e6,
    }


def data_types(costs: Iterable[Cost]) -> Sheet:
    """What changes with the number of data bits, at the last size of every network: every figure in bytes."""
    rows: list[Row] = []
    for last in {cost.network: cost for cost in costs}.values():
        integers = sum(b.nbytes for b in last.model.buffers() if not b.is_floating_point())
        for dtype, name in DATA_TYPES.items():
            cost = last if dtype == last.dtype else measure(*last[:3], last.profile.batch, dtype)
            row: Row = {"network": cost.network, "px": cost.px, "data type": name, "bits": torch.finfo(dtype).bits}
            row |= {"weights, MB": cost.profile.state_bytes / 1e6, "integers in it, bytes": integers}
            rows.append(row | _bytes(cost))
    notes = [
        "Counts of operations are the same in every type. Everything is of the one type; integers stay 64 bits wide. "
        "Mixed precision keeps weights, gradients and moments in float32 and lies between its two types."
    ]
    return Sheet("data_types", "Data bits", rows, notes)
