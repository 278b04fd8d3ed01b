"""What ``scripts/complexity.py`` can be asked for, and the sheets that answer it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from spt.complexity.layers import draw_shares, layers
from spt.complexity.networks import Builders, data_types, measure_all, operations, structure
from spt.complexity.notes_figures import comparison
from spt.complexity.scaling import draw_growth, growth_sheets, layer_types, points
from spt.complexity.sheet import Sheet
from spt.complexity.survey import survey
from spt.complexity.timing import fastest, hardware, throughput
from spt.errors import InvalidValue


def check(asked: Any) -> None:
    """Check the values of `configs/complexity.yaml`; what each means stands there.

    Raises:
        InvalidValue: naming the value that is out of range.
    """
    for name in ("size", "batch", "depth", "threads", "max_batch", "repeats"):
        values = (1,) if name == "threads" and asked.threads is None else _integers(asked[name])
        if not values or not all(isinstance(v, int) and v > 0 for v in values):
            raise InvalidValue(f"{name} must be positive whole numbers, got {asked[name]}.")
    if asked.device not in ("cpu", "cuda") or (asked.device == "cuda" and not torch.cuda.is_available()):
        raise InvalidValue(f"device must be cpu, or cuda where there is a CUDA GPU; got {asked.device}.")
    if asked.layer_types is not None and len(_integers(asked.layer_types)) != 4:
        raise InvalidValue(f"layer_types must be [n, d, k, r], got {asked.layer_types}.")


def _integers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def sheets_of(asked: Any, builders: Builders, out: Path) -> tuple[str, list[Sheet]]:
    """Measure what was asked for.

    Args:
        asked: checked values of `configs/complexity.yaml`.
        builders: networks by name.
        out: folder for pictures.
    Returns:
        Name of the files, and the sheets.
    """
    if asked.layer_types is not None:
        return "layer_types", [layer_types(*_integers(asked.layer_types))]
    if asked.survey:
        return "survey", survey()
    sizes = _integers(asked.size)
    if asked.layers:
        setting = (sizes[-1], asked.batch, asked.depth, asked.repeats)
        sheets = [layers(name, build(), *setting) for name, build in builders.items()]
        for sheet in sheets:
            draw_shares(sheet, out / f"{sheet.name}.png")
        return "layers", sheets
    if asked.scaling:
        rows = points(builders, asked.repeats)
        draw_growth(rows, out / "scaling.png")
        return "scaling", growth_sheets(rows)
    costs, refused = measure_all(builders, sizes, asked.batch)
    sheets, timings = [operations(costs), structure(costs), data_types(costs)], {}
    if asked.timing:
        taken = {name: [cost.px for cost in costs if cost.network == name] for name in builders}
        threads, device = _integers(asked.threads or torch.get_num_threads()), torch.device(asked.device)
        search = (asked.batch, asked.max_batch, asked.repeats)
        sheets.append(throughput(builders, taken, threads, asked.compiled, *search, device))
        timings = fastest(sheets[-1], asked.batch)
    return "complexity", [comparison(costs, refused, timings), *sheets]


def command() -> str:
    """Return what the user typed, and the hardware and software it ran on."""
    import spt

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"python {' '.join(sys.argv)}  ({hardware()}{gpu}, spt {spt.__version__})"
