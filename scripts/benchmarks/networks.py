"""Time and peak memory of every network: forward pass and training step, beside the notes' times.

python scripts/benchmarks/networks.py --models spt_unet sa_cnn --sizes 64 256 --repeats 3
python scripts/benchmarks/networks.py --models spt_unet --batch 16 --precision bfloat16 --peak 989   an H100

With ``--peak``, the floating-point operations of a training step are counted, and the rate is compared with the peak.
"""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from machine import add_device, built, each, hardware, names, parser, positive, show
from rounds import megabytes, milliseconds
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spt.complexity.notes_figures import PUBLISHED
from spt.complexity.timing import PeakMemory, time_call


def main() -> None:
    """Measure every network at every size, on a CPU each in a process of its own."""
    options = parser(__doc__, sizes=[64, 256], repeats=7)
    add_network_options(options, names("model"))
    options.add_argument("--compile", action="store_true", help="measure the networks compiled by torch")
    options.add_argument("--peak", type=float, help="greatest rate of the hardware at this precision [TFLOP/s]")
    asked = options.parse_args()
    same = {"compiled": asked.compile, "counted": asked.peak is not None, **settings(asked)}
    cases = [
        {"name": name, "size": size, "training": training, **same}
        for name in asked.models
        for size in asked.sizes
        for training in (False, True)
    ]
    rows = each(measure, cases, together=asked.device == "cuda")
    show(table(rows, asked.peak), note(asked) + (" Compiled." if asked.compile else ""))


def add_network_options(options: Any, models: list[str]) -> None:
    """Add the options that the tables of networks share."""
    options.add_argument("--models", nargs="+", choices=names("model"), default=models, metavar="NAME")
    options.add_argument("--batch", type=positive, default=2)
    options.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    add_device(options)


def settings(asked: Any) -> dict[str, Any]:
    """Return the part of a case that is the same for all."""
    return {key: getattr(asked, key) for key in ("batch", "precision", "device", "repeats")}


def note(asked: Any) -> str:
    """Return the line below the table."""
    tf32 = " with TF32 products" if asked.device == "cuda" and asked.precision == "float32" else ""
    precision = f"{asked.precision}{tf32}"
    return f"{hardware(asked.device)}, {precision}, batch {asked.batch}, median of about {asked.repeats} calls."


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Measure one network of `configs/model`; count the operations of its training step where that is asked for."""
    torch.set_float32_matmul_precision("high")  # as spt.run.train does
    compiled, counted = case.pop("compiled"), case.pop("counted")
    network = f"model={case['name']}"

    def build() -> nn.Module:
        model = built(network, part="model")
        if compiled:
            model.compile()
        return model

    measured = measure_network(build, **case)
    if counted and case["training"]:
        measured["flops"] = training_flops(built(network, part="model"), case["size"], case["batch"])
    return measured


def measure_network(
    build: Callable[[], nn.Module],
    name: str,
    size: int,
    batch: int,
    training: bool,
    device: str,
    precision: str,
    repeats: int,
) -> dict[str, Any]:
    """Measure one network at one size: forward passes in evaluation, or training steps with AdamW.

    Memory is what the process holds above its state before the network was built, so that weights, gradients and the
    optimizer's state are in it. On a CPU it has to be measured in a process of its own.

    Returns:
        ``parameters``, ``seconds`` of a batch, call by call, ``bytes``, and ``name``, ``size``, ``batch``.
    """
    dtype = getattr(torch, precision)
    with PeakMemory(torch.device(device)) as memory:
        model = build().to(device).to(memory_format=torch.channels_last)
        speckle = torch.randn(batch, 1, size, size, device=device)
        call = training_step(model, speckle, dtype) if training else inference(model, speckle, dtype)
        seconds = time_call(call, repeats).times
    parameters = sum(p.numel() for p in model.parameters())
    measured = {"parameters": parameters, "seconds": seconds, "bytes": memory.bytes}
    return {"name": name, "size": size, "batch": batch, **measured}


def inference(model: nn.Module, speckle: Tensor, precision: torch.dtype) -> Callable[[], None]:
    """Return a forward pass in evaluation mode, ready to be timed."""
    model.eval()

    def call() -> None:
        with torch.inference_mode(), torch.autocast(speckle.device.type, precision, precision != torch.float32):
            model(speckle)

    return call


def training_step(model: nn.Module, speckle: Tensor, precision: torch.dtype) -> Callable[[], None]:
    """Return one step of AdamW with cross-entropy on random targets, ready to be timed."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    target = torch.rand_like(speckle)

    def call() -> None:
        optimizer.zero_grad()
        with torch.autocast(speckle.device.type, precision, precision != torch.float32):
            logits = model(speckle)
        F.binary_cross_entropy_with_logits(logits.float(), target.expand_as(logits)).backward()
        optimizer.step()

    return call


def training_flops(model: nn.Module, size: int, batch: int) -> int:
    """Floating-point operations of the convolutions and matrix products of a training step, two a multiplication.

    Counted on torch's meta device, so that nothing is computed; the network is moved there.
    """
    with FlopCounterMode(display=False) as counter:
        model.to("meta").train()(torch.empty(batch, 1, size, size, device="meta")).sum().backward()
    return counter.get_total_flops()


def table(rows: list[dict[str, Any]], peak: float | None = None) -> Iterator[list[str]]:
    """Header and rows: ours, and the notes' figures where they print any.

    Args:
        rows: of :func:`measure_network`, inference and training in turn; ``flops`` of training where ``peak`` is given.
        peak: greatest rate of the hardware [TFLOP/s]; adds the rate of a training step and its share.
    """
    yield [
        *("network", "px", "parameters"),
        *("forward, ms a batch (min..max)", "images/s", "notes: ms", "notes: images/s"),
        *("training step, ms a batch (min..max)", "images/s", "peak memory forward", "peak memory training"),
        *(("training, TFLOP/s", f"share of {peak:g} TFLOP/s") if peak else ()),
    ]
    for forward, step in zip(rows[::2], rows[1::2], strict=True):
        printed = PUBLISHED.get((forward["name"], forward["size"]))
        yield [
            *(forward["name"], str(forward["size"]), f"{forward['parameters']:,}"),
            *(milliseconds(forward["seconds"]), f"{forward['batch'] / median(forward['seconds']):.1f}"),
            *(f"{float(printed[key]):.1f}" if printed else "" for key in ("ms_per_batch", "images_per_second")),
            *(milliseconds(step["seconds"]), f"{step['batch'] / median(step['seconds']):.1f}"),
            *(megabytes(forward["bytes"]), megabytes(step["bytes"])),
            *(_rate(step["flops"] / median(step["seconds"]) / 1e12, peak) if peak else ()),
        ]


def _rate(reached: float, peak: float) -> tuple[str, str]:
    return f"{reached:.3g}", f"{100 * reached / peak:.2g} %"


if __name__ == "__main__":
    main()
