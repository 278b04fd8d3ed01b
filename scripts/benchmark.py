"""Time and peak memory on the machine at hand, as a Markdown table.

python scripts/benchmark.py networks                 every network: forward and training step at 64 and 256 px
python scripts/benchmark.py attention                SpT UNet's pooled attention against a full softmax, 64 and 128 px
python scripts/benchmark.py memory                   activation checkpointing off and on
python scripts/benchmark.py losses                   every loss, forward and backward, beside its formula, SMP and MONAI
python scripts/benchmark.py optics                   the simulation beside torchoptics and a training step, on the CPU
python scripts/benchmark.py data                     the first and the second start of a simulated set, online pairs
"""

import argparse
import multiprocessing
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from spt.command import guarded

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    """Parse, measure each case in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["networks", "attention", "memory", "losses", "optics", "data"])
    names = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, help="image sides [px]")
    parser.add_argument("--batch", type=int, help="default: 2, for losses 8")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls; the median is printed")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is one")
    guarded(lambda: print(benchmark(parser.parse_args())))


def benchmark(arguments: argparse.Namespace) -> str:
    """Measure what was asked for and return the table with the hardware below it.

    Raises:
        ValueError: if a network refuses a size, or there is no GPU.
    """
    import torch

    from spt.complexity import loss_timing, tables
    from spt.evaluation.report import markdown

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no CUDA GPU. Leave --device out, or take --device cpu.")
    batch = (8 if arguments.what == "losses" else 2) if arguments.batch is None else arguments.batch
    if min(batch, arguments.repeats, *(arguments.sizes or [1])) < 1:
        raise ValueError("--batch, --repeats and --sizes must be 1 or more.")
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = {"device": device, "repeats": arguments.repeats}
    shared = {**settings, "batch": batch, "precision": arguments.precision}
    if arguments.what == "optics":
        return _optics(arguments.sizes or [64, 128, 256, 512], arguments.repeats)
    if arguments.what == "data":
        return _data()
    if arguments.what == "attention":
        cases = [
            {"size": size, "full": full, **settings} for size in arguments.sizes or [64, 128] for full in (False, True)
        ]
        table = tables.attention_table(_each(_attention, cases))
    elif arguments.what == "memory":
        sizes = arguments.sizes or [256]
        modes = [(n, s, c) for n in arguments.models for s in sizes for c in (False, True)]
        cases = [{"name": n, "size": s, "checkpointing": c, "training": True, **shared} for n, s, c in modes]
        table = tables.memory_table(_each(_network, cases))
    elif arguments.what == "losses":
        timed = {"batch": batch, "repeats": arguments.repeats}
        cases = [{"head": h, "size": s, **timed} for h in ("binary", "two_class") for s in arguments.sizes or [256]]
        table = loss_timing.loss_table([row for rows in _each(_losses, cases) for row in rows["rows"]])
    else:
        modes = [(n, s, t) for n in arguments.models for s in arguments.sizes or [64, 256] for t in (False, True)]
        cases = [{"name": n, "size": s, "checkpointing": False, "training": t, **shared} for n, s, t in modes]
        table = tables.network_table(_each(_network, cases))
    return f"{markdown(table)}\n\n{_hardware(device)}, {arguments.precision}, median of {arguments.repeats} calls."


def _each(measure: Any, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return list(pool.map(measure, cases))


def _network(case: dict[str, Any]) -> dict[str, Any]:
    import torch

    from spt.complexity.tables import measure_network
    from spt.training.memory import checkpoint_activations

    name, checkpointing = case.pop("name"), case.pop("checkpointing")

    def built() -> torch.nn.Module:
        model = _model(name)
        if checkpointing:
            checkpoint_activations(model)
        return model

    device, precision = torch.device(case.pop("device")), getattr(torch, case.pop("precision"))
    return {"network": name, **measure_network(built, device=device, precision=precision, **case)}


def _attention(case: dict[str, Any]) -> dict[str, Any]:
    import torch

    from spt.complexity.tables import measure_attention

    return measure_attention(_model("spt_unet"), device=torch.device(case.pop("device")), **case)


def _losses(case: dict[str, Any]) -> dict[str, Any]:
    """Every loss that goes with a head, in one process: importing SMP and MONAI takes longer than measuring."""
    from spt.complexity.loss_timing import measure_loss
    from spt.config import build

    head = case.pop("head")
    rows = []
    for name in sorted(path.stem for path in (CONFIGS / "loss").glob("*.yaml")):
        config = _composed(f"loss={name}", f"head={head}")
        loss = build(config.loss)
        if head in loss.heads:
            rows.append({"loss": name, **measure_loss(name, loss, config.head.channels, **case)})
    return {"rows": rows}


def _optics(sizes: list[int], repeats: int) -> str:
    from spt.complexity import simulation_timing
    from spt.evaluation.report import markdown

    threads = sorted({1, os.cpu_count() or 1})
    cases = [{"size": size, "threads": n, "repeats": repeats} for size in sizes for n in threads]
    speed = simulation_timing.simulation_table(_each(_simulation, cases))
    share = simulation_timing.share_table(_each(_share, [{"threads": n, "repeats": repeats} for n in threads]))
    note = f"{_hardware('cpu')}, default set's optics, medians (least..greatest) of {repeats} rounds."
    return f"{markdown(speed)}\n\n{markdown(share)}\n\n{note}"


def _simulation(case: dict[str, Any]) -> dict[str, Any]:
    from spt.complexity.simulation_timing import measure_simulation
    from spt.config import build

    source = build(_composed().data.source)
    return measure_simulation(source.setup, source.camera, **case)


def _share(case: dict[str, Any]) -> dict[str, Any]:
    from spt.complexity.simulation_timing import measure_share
    from spt.config import build

    source = build(_composed().data.source)
    return measure_share(source.setup, source.camera, _model("spt_unet"), batch=16, **case)


def _data() -> str:
    from spt.complexity.start_timing import start_table
    from spt.evaluation.report import markdown

    small = ["data.source.train=192", "data.source.validation=64"]
    cases: list[dict[str, Any]] = [{"overrides": ["data=simulated"]}, {"overrides": ["data=grit", *small]}]
    cases += [{"overrides": ["data=weak_scatter", "data.online=true", *small], "batch": 16, "batches": 64}]
    cases += [{"overrides": ["data=grit", "data.online=true", *small], "batch": 8, "batches": 8}]
    rows = [row for case in _each(_starts, cases) for row in case["rows"]]
    return f"{markdown(start_table(rows))}\n\n{_hardware('cpu')}, one run, without imports."


def _starts(case: dict[str, Any]) -> dict[str, Any]:
    """A set in an empty cache, from it, and behind another camera; or its online pairs."""
    import tempfile

    import torch

    from spt.complexity.start_timing import measure_online, measure_starts
    from spt.config import build
    from spt.data.online import OnlinePairs

    with tempfile.TemporaryDirectory() as cache:
        overrides = [*case["overrides"], f"data.source.cache={cache}"]
        name = " ".join(case["overrides"])
        if "batch" in case:
            data = build(_composed(*overrides).data)
            pairs = OnlinePairs(data.source, data.source.load()["train"], data.preparation, torch.device("cpu"))
            online = measure_online(pairs.__getitems__, case["batch"], case["batches"])
            return {"rows": [{"what": f"{name}: batches of {case['batch']}", **online}]}
        sources = [
            build(_composed(*overrides, *camera).data).source for camera in ([], [], ["data.source.camera.bits=7"])
        ]
        starts = ("first start", "second start", "other camera, same objects")
        return {"rows": [{"what": f"{name}: {s}", **t} for s, t in zip(starts, measure_starts(sources), strict=True)]}


def _model(name: str) -> Any:
    from spt.config import build

    return build(_composed(f"model={name}").model)


def _composed(*overrides: str) -> Any:
    from hydra import compose, initialize_config_dir

    import spt  # noqa: F401  registers the typed root

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", list(overrides))


def _hardware(device: str) -> str:
    import torch

    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    cpu = next((line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    name = cpu or platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    main()
