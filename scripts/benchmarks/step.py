"""Where the time of a training step goes: loader, transfer, forward pass, loss, backward pass, optimizer, callbacks.

python scripts/benchmarks/step.py --models spt_unet --sizes 64 256 --batches 2 16
python scripts/benchmarks/step.py --models spt_unet --sizes 64 --batches 16 --precision bf16-mixed --operators
python scripts/benchmarks/step.py --device cuda --precision bf16-mixed --compile --peak 989    an H100

It is spt's own training, with every default callback and logger, without validation and pictures. Values are logged in
every step; a training does so in every tenth. A profiler of Lightning waits for the GPU at the beginning and the end
of every part. ``--operators`` lists the heaviest operators of torch instead. With ``--peak`` the operations of
convolutions and matrix products are counted, and their rate is compared with the greatest rate of the hardware.
"""

import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.profilers import Profiler
from machine import ROOT, add_device, built, each, hardware, names, parser, positive, show
from networks import training_flops
from torch import nn
from torch.utils.benchmark import timer

WARM_UP = 3
"""Steps before the clock starts."""

PARTS = {
    "loader": ("dataloader_next",),
    "transfer": ("batch_to_device",),
    "forward": ("spt.forward",),
    "loss": ("spt.loss",),
    "backward": (".backward",),
    "optimizer": (".optimizer_step", ".optimizer_zero_grad", ".configure_gradient_clipping"),
    "callbacks": ("[Callback]",),
}
"""Each part, and what the names of Lightning's actions contain. What is left is Lightning itself and its logging."""


class Parts(Profiler):
    """Time of every part of every step, without the parts inside it [s]; waits for the GPU.

    Args:
        device: where the training runs.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.steps, self.now = device, list[dict[str, float]](), dict.fromkeys(PARTS, 0.0)
        self._running: list[tuple[str, float]] = []
        self._inside: list[float] = []

    def start(self, action_name: str) -> None:
        """Begin an action."""
        self._running.append((action_name, self._time()))
        self._inside.append(0.0)

    def stop(self, action_name: str) -> None:
        """End an action: its time, less that of the actions inside it, is its part's."""
        name, began = self._running.pop()
        if name != action_name:
            raise RuntimeError(f"{name} was begun and {action_name} is ended")
        passed = self._time() - began
        own = passed - self._inside.pop()
        if self._inside:
            self._inside[-1] += passed
        part = next((part for part, words in PARTS.items() if any(word in name for word in words)), None)
        if part is not None:
            self.now[part] += own

    def _time(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return timer()


class Steps(Callback):
    """Ends a step of the profiler."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self._last = parts, 0.0

    def on_train_batch_end(self, *args: Any) -> None:
        """Note the times since the last step."""
        now = timer()
        self.parts.steps.append({**self.parts.now, "whole step": now - self._last})
        self.parts.now, self._last = dict.fromkeys(PARTS, 0.0), now


class Watched(nn.Module):
    """A network or a loss whose calls are an action of the profiler."""

    def __init__(self, called: nn.Module, parts: Parts, name: str) -> None:
        super().__init__()
        self.called, self.parts, self.name = called, parts, name

    def forward(self, *args: Any) -> Any:
        """Call it."""
        with self.parts.profile(self.name):
            return self.called(*args)


def main() -> None:
    """Measure every case in a process of its own."""
    options = parser(__doc__, sizes=[64, 128, 256], repeats=5)
    options.add_argument("--models", nargs="+", choices=names("model"), default=names("model"), metavar="NAME")
    options.add_argument("--batches", nargs="+", type=positive, default=[2, 16])
    options.add_argument("--precision", choices=["32-true", "bf16-mixed", "16-mixed"], default="32-true")
    options.add_argument("--width", type=positive, help="of the network, where it has one")
    options.add_argument("--compile", action="store_true", help="measure the networks compiled by torch")
    options.add_argument("--operators", action="store_true", help="list the heaviest operators instead")
    options.add_argument("--peak", type=float, help="greatest rate of the hardware at this precision [TFLOP/s]")
    add_device(options)
    asked = options.parse_args()
    same = {key: getattr(asked, key) for key in ("precision", "compile", "device", "repeats", "operators", "width")}
    cases = [
        {"name": name, "size": size, "batch": batch, "count": asked.peak is not None, **same}
        for name in asked.models
        for size in asked.sizes
        for batch in asked.batches
    ]
    rows = each(measure, cases, together=asked.device == "cuda")
    how = f"{asked.precision}, {'compiled' if asked.compile else 'eager'}, median of {asked.repeats} steps"
    show(operators(rows) if asked.operators else table(rows, asked.peak), f"{hardware(asked.device)}, {how}.")


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Train a few steps of one network; times in ms."""
    from hydra import compose, initialize_config_dir

    import spt  # noqa: F401  registers the typed root
    from spt.run.folder import RunFolder
    from spt.run.train import connect, load_data, prepare

    size, batch, steps = case["size"], case["batch"], WARM_UP + case["repeats"]
    network = [f"model={case['name']}", *([f"model.width={case['width']}"] if case["width"] else [])]
    parts = Parts(case["device"])
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose(
            "train",
            [
                *network,
                *(f"data.batch_size={batch}", f"data.source.train={batch * steps}", "data.source.validation=16"),
                *(f"data.source.setup.window={size}", f"data.source.setup.grid={size + 64}"),
                *(
                    "trainer.max_epochs=1",
                    "trainer.log_every_n_steps=1",
                    "+trainer.limit_val_batches=0",
                    f"cache={folder}",
                ),
                *(f"trainer.precision={case['precision']}", f"compile={case['compile']}"),
                f"trainer={'gpu' if case['device'] == 'cuda' else 'cpu'}",
            ],
        )
        prepared = prepare(config, RunFolder(Path(folder) / "run"), callbacks=[Steps(parts)])
        prepared.trainer.profiler = parts  # type: ignore[attr-defined]  # set at run time
        module = connect(prepared, load_data(prepared))
        module.model = Watched(module.model, parts, "spt.forward")
        module.loss = Watched(module.loss, parts, "spt.loss")
        with torch.profiler.profile() if case["operators"] else nullcontext() as profile:
            prepared.trainer.fit(module, datamodule=prepared.parts.data)
    found = [{**step, "rest": step["whole step"] - sum(step[part] for part in PARTS)} for step in parts.steps[WARM_UP:]]
    times = {part: 1e3 * median(step[part] for step in found) for part in found[0]}
    spread = [1e3 * step["whole step"] for step in found]
    row = {"name": case["name"], "size": size, "batch": batch, "times": times, "spread": (min(spread), max(spread))}
    if case["count"]:
        row["flops"] = training_flops(built(*network, part="model"), size, batch)
    if profile is not None:
        row["operators"] = heaviest(profile)
    return row


def heaviest(profile: Any, number: int = 10) -> list[tuple[str, float]]:
    """Operators with the most time of their own, and their share of all operators' time."""
    events = profile.key_averages()
    attribute = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    own = {event.key: float(getattr(event, attribute)) for event in events if event.key.startswith("aten::")}
    total = sum(own.values())
    return [(key, own[key] / total) for key in sorted(own, key=lambda key: -own[key])[:number]]


def table(rows: list[dict[str, Any]], peak: float | None) -> Iterator[list[str]]:
    """Header and rows: ms of every part, and of a whole step."""
    rate = [f"share of {peak:g} TFLOP/s"] if peak else []
    yield ["network", "px", "batch", *PARTS, "rest", "whole step, ms (min..max)", "samples/s", *rate]
    for row in rows:
        times, (least, most) = row["times"], row["spread"]
        whole = times["whole step"]
        yield [
            *(row["name"], str(row["size"]), str(row["batch"])),
            *(f"{times[part]:.2f}" for part in PARTS),
            f"{times['rest']:.2f}",
            *(f"{whole:.1f} ({least:.1f}..{most:.1f})", f"{1e3 * row['batch'] / whole:.1f}"),
            *([f"{row['flops'] / whole / 1e9 / peak:.1%}"] if peak else []),
        ]


def operators(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows: the heaviest operators of every network."""
    yield ["network", "px", "batch", "operator", "share of the operators' time"]
    for row in rows:
        for key, share in row["operators"]:
            yield [row["name"], str(row["size"]), str(row["batch"]), key.removeprefix("aten::"), f"{share:.1%}"]


if __name__ == "__main__":
    main()
