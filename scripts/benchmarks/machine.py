"""Shared by the benchmarks: configurations of this repository, a process for every case, the printed table."""

import argparse
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def positive(text: str) -> int:
    """Read a whole number from 1 on, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {text}")
    return int(text)


def parser(description: str | None, sizes: list[int], repeats: int) -> argparse.ArgumentParser:
    """Options of every benchmark that has image sizes and repeated calls."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", nargs="+", type=positive, default=sizes, help="image sides [px]")
    options.add_argument("--repeats", type=positive, default=repeats, help="timed calls; the median is printed")
    return options


def add_device(options: argparse.ArgumentParser) -> None:
    """Add ``--device``: the GPU where there is one."""
    import torch

    there = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    options.add_argument("--device", choices=there, default=there[-1])


def names(group: str) -> list[str]:
    """Names of the files in a folder of `configs/`."""
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


def built(*overrides: str, part: str) -> Any:
    """Build one part of the training configuration, such as ``model`` or ``data.source``."""
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    import spt  # noqa: F401  registers the typed root

    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return instantiate(OmegaConf.select(compose("train", list(overrides)), part), _convert_="all")


def each(measure: Callable[[dict[str, Any]], Any], cases: list[dict[str, Any]], together: bool = False) -> list[Any]:
    """Measure every case, one after the other, in a process of its own or all ``together`` in one."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=None if together else 1) as pool:
        return list(pool.map(measure, cases))


def show(table: Iterable[list[str]], note: str = "") -> None:
    """Print a Markdown table, the first row as header, and a note below it."""
    from spt.evaluation.score_table import markdown

    print(markdown(table), *([f"\n{note}"] if note else []), sep="\n", end="\n\n")


def hardware(device: str = "cpu") -> str:
    """Name the processor or GPU, the number of threads and the version of torch."""
    import torch

    from spt.complexity.timing import hardware as processor

    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}" if device == "cuda" else processor()
