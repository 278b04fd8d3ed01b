"""The notes' comparison of networks: published, ours, ratio, remark; and what else a network costs."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from spt.complexity.footprint import TrainingMemory, file_bytes, parameter_bytes, training_memory
from spt.complexity.operators import OTHERS, PRODUCTS
from spt.complexity.profile import Profile, profile
from spt.complexity.published import PUBLISHED, Published
from spt.complexity.remarks import READING, TIME, remark
from spt.complexity.sheet import Row, Sheet

CONVOLUTIONS = ("convolution", "dilated convolution", "transposed convolution")
UNPUBLISHED = Published(math.nan, math.nan, math.nan, math.nan)
DATA_TYPES = {"float32": torch.float32, "float64": torch.float64, "float16, bfloat16": torch.float16}
SHORT = {
    "convolution": "conv",
    "dilated convolution": "dilated conv",
    "transposed convolution": "transp. conv",
    "interpolation": "interp.",
    "normalisation": "norm",
    "activation": "activ.",
    "arithmetic": "arithm.",
}


@dataclass(frozen=True)
class Cost:
    """What one network costs at one size.

    Args:
        network: config name.
        px: image side.
        profile: of the batch, float32.
        training: memory of a training step on the batch, float32.
        parameters: all of them.
        trainable: those that are trained.
        buffers: numbers that are stored and not trained: running statistics, counters.
        file: bytes of the weights file, float32.
    """

    network: str
    px: int
    profile: Profile
    training: TrainingMemory
    parameters: int
    trainable: int
    buffers: int
    file: int


def measure(network: str, model: nn.Module, px: int, batch: int) -> Cost:
    """Count one network at one size.

    Raises:
        ValueError: if the network refuses the size.
    """
    speckle = torch.zeros(batch, 1, px, px)
    parameters = list(model.parameters())
    return Cost(
        network,
        px,
        profile(model, speckle),
        training_memory(model, speckle),
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(b.numel() for b in model.buffers()),
        file_bytes(model),
    )


def measure_all(
    builders: Mapping[str, Callable[[], nn.Module]], sizes: Iterable[int], batch: int
) -> tuple[list[Cost], list[str]]:
    """Count every network at every size; a size that a network refuses is named among the notes.

    Raises:
        ValueError: if no network takes any of the sizes.
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
        raise ValueError(" ".join(refused) or "no size was given: size=[200,224,256].")
    return costs, refused


def comparison(costs: Iterable[Cost], refused: Iterable[str], timings: Mapping[tuple[str, int], float]) -> Sheet:
    """Published | ours | ratio | remark.

    Args:
        costs: of :func:`measure_all`.
        refused: sizes that were not possible.
        timings: (network, px) -> measured time of a batch [s]; empty where nothing was timed.
    """
    rows = [row for cost in costs for row in _compared(cost, timings.get((cost.network, cost.px)))]
    untimed = [] if timings else ["images/s of ours: timing=true."]
    return Sheet("comparison", "Networks beside the notes' figures", rows, [READING, TIME, *untimed, *refused])


def _compared(cost: Cost, seconds: float | None) -> Iterator[Row]:
    printed, batch = PUBLISHED.get((cost.network, cost.px), UNPUBLISHED), cost.profile.batch
    convolutions, products = cost.profile.of(*CONVOLUTIONS).macs / batch, cost.profile.macs / batch
    figures = [
        ("parameters, 1e6", "parameters", printed.parameters / 1e6, cost.parameters / 1e6),
        ("GMAC of an image, convolutions", "flops", printed.flops / 1e9, convolutions / 1e9),
        ("GMAC of an image, all products", "", printed.flops / 1e9, products / 1e9),
        ("images/s", "throughput", printed.images_per_second, batch / seconds if seconds else None),
        ("ms per batch", "time", printed.ms_per_batch, 1e3 * seconds if seconds else None),
    ]
    for name, quantity, figure, ours in figures:
        published = None if math.isnan(figure) else figure
        if ours is not None or (published is not None and quantity == "throughput"):
            yield {
                "network": cost.network,
                "px": cost.px,
                "quantity": name,
                "published": published,
                "ours": None if ours is None else round(ours, 6),
                "ratio": None if ours is None or published is None else round(ours / published, 4),
                "remark": remark(cost.network, cost.px, quantity) if published is not None else "not in the notes",
            }


def operations(costs: Iterable[Cost]) -> Sheet:
    """Operations of one image, line by line, with the notes' formulas as the last columns."""
    rows: list[Row] = []
    for cost in costs:
        p, giga = cost.profile, 1e9 * cost.profile.batch
        row: Row = {"network": cost.network, "px": cost.px}
        row |= {SHORT.get(name, name): round(p.of(name).macs / giga, 5) for name in PRODUCTS}
        row["GMAC"] = p.macs / giga
        row |= {SHORT.get(name, name): round(_other(p, name) / giga, 5) for name in OTHERS}
        row |= {
            "2 GMAC": p.flops / giga,
            "+ others": (p.flops + p.other) / giga,
            "notes": sum(c.notes for c in p.calls) / giga,
            "2nd note": sum(c.second_note for c in p.calls) / giga,
            "not counted": ", ".join(p.uncounted) or "nothing",
        }
        rows.append(row)
    empty = {key for key in rows[0] if key != "not counted" and not any(row[key] for row in rows)}
    rows = [{key: value for key, value in row.items() if key not in empty} for row in rows]
    return Sheet(
        "operations",
        "Operations of one image, 1e9",
        rows,
        [
            "Left of GMAC, their sum: multiply-accumulates of matrix products. Right of it: every other operation, one "
            "per element and function (conventions: spt/complexity/operators.py); the softmax of attention is an "
            "activation. Copies cost no operation. 2 GMAC: FLOPs as torch counts them. + others: all operations.",
            "notes: their formulas, (2 Cin Kh Kw - 1) Cout H W at the INPUT's size (too high under stride), linear "
            "layers and attention's products in MACs as printed. 2nd note: H' W' n (h w c + 1), convolutions alone.",
        ],
    )


def _other(p: Profile, category: str) -> int:
    """Operations of a category; activations include the softmax inside of attention, as if it were spelled out."""
    return p.of(category, *(PRODUCTS if category == "activation" else ())).other


def structure(costs: Iterable[Cost]) -> Sheet:
    """Parameters, memory, and the shape of the graph."""
    rows = []
    for cost in costs:
        p, field = cost.profile, max(cost.profile.receptive_field)
        rows.append(
            {
                "network": cost.network,
                "px": cost.px,
                "trainable": cost.trainable,
                "buffers": cost.buffers,
                "weights file, MB": cost.file / 1e6,
                "memory access, GB": p.bytes / 1e9,
                "op/byte": p.intensity,
                "activations kept for backward, MB": cost.training.saved / 1e6,
                "peak inference, MB": (p.state_bytes + p.activation_bytes) / 1e6,
                "peak training, MB": cost.training.total / 1e6,
                "longest path, operators": p.depth,
                "path between borders": "none" if p.path_length is None else p.path_length,
                "receptive field, px": "whole image" if math.isinf(field) else int(field),
            }
        )
    return Sheet(
        "structure",
        f"Memory and graph, batch {p.batch}, float32",
        rows,
        [
            "Memory from shapes alone, without the workspaces of the arithmetic: peak inference = weights + tensors "
            "alive at once; peak training = weights + gradients + AdamW's moments + tensors alive. Memory access: each "
            "operator reads its inputs and writes its outputs, nothing fused but attention; where torch has no fused "
            "kernel for it on a CPU (SA-CNN: values wider than queries), its matrix is in the peak.",
            "Longest path: minimum number of sequential operations. Path between borders: fewest operators that mix "
            "positions between an output pixel at one border and an input pixel at the other (maximum path length).",
        ],
    )


def data_types(builders: Mapping[str, Callable[[], nn.Module]], costs: Iterable[Cost]) -> Sheet:
    """What changes with the number of data bits, at the last size of every network: every figure in bytes."""
    rows = []
    for cost in {cost.network: cost for cost in costs}.values():
        model = builders[cost.network]()
        speckle = torch.zeros(cost.profile.batch, 1, cost.px, cost.px)
        for types, dtype in DATA_TYPES.items():
            single = dtype == torch.float32
            counted = cost.profile if single else profile(model, speckle, dtype=dtype)
            training = cost.training if single else training_memory(model, speckle, dtype)
            row = {"network": cost.network, "px": cost.px, "data type": types}
            rows.append(row | _typed(model, dtype, counted, training))
    notes = [
        "Counts of operations are the same in every type. Everything is of the one type; integers stay 64 bits wide. "
        "Mixed precision keeps weights, gradients and moments in float32 and lies between its two types."
    ]
    return Sheet("data_types", "Data bits", rows, notes)


def _typed(model: nn.Module, dtype: torch.dtype, counted: Profile, training: TrainingMemory) -> Row:
    stored = parameter_bytes(model, dtype)
    return {
        "bits": torch.finfo(dtype).bits,
        "weights, MB": sum(stored.values()) / 1e6,
        "integers in it, bytes": stored.get("int64", 0),
        "weights file, MB": file_bytes(model, dtype) / 1e6,
        "memory access, GB": counted.bytes / 1e9,
        "op/byte": counted.intensity,
        "activations kept for backward, MB": training.saved / 1e6,
        "peak inference, MB": (counted.state_bytes + counted.activation_bytes) / 1e6,
        "peak training, MB": training.total / 1e6,
    }
