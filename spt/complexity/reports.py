"""What ``scripts/complexity.py`` can be asked for, and the sheets that answer it."""

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spt.complexity.layer_types import layer_types
from spt.complexity.layers import draw, layers
from spt.complexity.networks import comparison, data_types, measure_all, operations, structure
from spt.complexity.scaling import draw as draw_growth
from spt.complexity.scaling import fits, measured_sheet, points
from spt.complexity.sheet import Sheet
from spt.complexity.survey import survey
from spt.complexity.throughput import fastest, timing_sheet

Builders = Mapping[str, Callable[[], nn.Module]]


@dataclass(frozen=True)
class Settings:
    """The checked values of `configs/complexity.yaml`; what each means stands there."""

    size: tuple[int, ...]
    batch: int
    survey: bool
    layers: bool
    depth: int
    scaling: bool
    timing: bool
    compiled: bool
    threads: tuple[int, ...]
    max_batch: int
    repeats: int
    device: str
    layer_types: tuple[int, ...] | None

    @classmethod
    def checked(cls, cfg: Any) -> "Settings":
        """Read them.

        Raises:
            ValueError: naming the value that is out of range.
        """
        size, threads = _integers(cfg.size), _integers(cfg.threads or torch.get_num_threads())
        numbers = {"batch": cfg.batch, "depth": cfg.depth, "max_batch": cfg.max_batch, "repeats": cfg.repeats}
        for name, values in {"size": size, "threads": threads, **{k: (v,) for k, v in numbers.items()}}.items():
            if not values or not all(isinstance(v, int) and v > 0 for v in values):
                raise ValueError(f"{name} must be positive whole numbers, got {cfg[name]}.")
        if cfg.device not in ("cpu", "cuda") or (cfg.device == "cuda" and not torch.cuda.is_available()):
            raise ValueError(f"device must be cpu, or cuda where there is a CUDA GPU; got {cfg.device}.")
        types = None if cfg.layer_types is None else _integers(cfg.layer_types)
        if types is not None and len(types) != 4:
            raise ValueError(f"layer_types must be [n, d, k, r], got {cfg.layer_types}.")
        flags = {name: cfg[name] for name in ("survey", "layers", "scaling", "timing", "compiled", "device")}
        return cls(size, threads=threads, layer_types=types, **numbers, **flags)


def _integers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def sheets_of(settings: Settings, builders: Builders, out: Path) -> tuple[str, list[Sheet]]:
    """Measure what was asked for.

    Args:
        settings: what was asked.
        builders: networks by name.
        out: folder for pictures.
    Returns:
        Name of the files, and the sheets.
    """
    if settings.layer_types:
        return "layer_types", [_layer_types(settings.layer_types)]
    if settings.survey:
        return "survey", survey()
    if settings.layers:
        return "layers", _layers(settings, builders, out)
    if settings.scaling:
        return "scaling", _scaling(settings, builders, out)
    return "complexity", _networks(settings, builders)


def _layer_types(numbers: tuple[int, ...]) -> Sheet:
    names = ("layer type", "complexity per layer", "sequential operations", "maximum path length")
    n, d, k, r = numbers
    rows = [dict(zip(names, layer, strict=True)) for layer in layer_types(n, d, k, r)]
    return Sheet("layer_types", f"Attention Is All You Need, Table 1: n = {n}, d = {d}, k = {k}, r = {r}", rows)


def _layers(settings: Settings, builders: Builders, out: Path) -> list[Sheet]:
    sheets = []
    for name, build in builders.items():
        sheet = layers(name, build(), settings.size[-1], settings.batch, settings.depth, settings.repeats)
        draw(sheet, out / f"layers_{name}.png")
        sheets.append(sheet)
    return sheets


def _networks(settings: Settings, builders: Builders) -> list[Sheet]:
    costs, refused = measure_all(builders, settings.size, settings.batch)
    sheets = [operations(costs), structure(costs), data_types(builders, costs)]
    timings = {}
    if settings.timing:
        sizes = {name: [c.px for c in costs if c.network == name] for name in builders}
        timed = timing_sheet(
            builders,
            sizes,
            settings.threads,
            settings.compiled,
            settings.batch,
            settings.max_batch,
            settings.repeats,
            torch.device(settings.device),
        )
        sheets.append(timed)
        timings = fastest(timed, settings.batch)
    return [comparison(costs, refused, timings), *sheets]


def _scaling(settings: Settings, builders: Builders, out: Path) -> list[Sheet]:
    by_size, by_batch = points(builders, settings.repeats)
    draw_growth(by_size, out / "scaling.png")
    return [fits(by_size, by_batch), measured_sheet([*by_size, *by_batch])]


def command() -> str:
    """Return what the user typed, and the hardware and software it ran on."""
    import spt

    cpu = next((line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    machine = f"{cpu or platform.processor() or platform.machine()}, {torch.get_num_threads()} threads{gpu}"
    return f"python {' '.join(sys.argv)}  ({machine}, torch {torch.__version__}, spt {spt.__version__})"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
