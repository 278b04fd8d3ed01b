"""What spt and Lightning add to a training step: our training beside a bare PyTorch loop of the same arithmetic.

OMP_NUM_THREADS=1 python scripts/benchmarks/framework.py
OMP_NUM_THREADS=1 python scripts/benchmarks/framework.py --apart    also without one part at a time

The network is one convolution, the loss Dice, batches of 16 at 64 px. Both loops take their batches from the same kind
of loader (loader.py measures that alone), compute in the same precision, clip the gradients and step optimizer and
schedule. The training has every default callback and logger. It does not validate, and draws nothing. CPU time leaves
out the time spent waiting for a busy machine.
"""

import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from machine import ROOT, hardware, positive, show
from rounds import spread

from spt.optics.resampling import resized
from spt.run.folder import RunFolder
from spt.run.train import Prepared, connect, load_data, prepare
from spt.training.schedules import parameter_groups
from spt.training.trainer import callbacks_of

BATCH = 16
WARM_UP = 100
"""Steps before the clock starts."""

BARE, OURS = "bare loop", "spt"
PARTS = {
    "spt without loggers": ["logger=[]"],
    "spt without the configured callbacks": ["callbacks=[]", "+trainer.enable_progress_bar=false"],
    "spt without the learning rate's curve": ["~callbacks.learning_rate"],
}
"""What each way changes."""


Times = tuple[float, float]
"""Time of a step by the clock on the wall and of the processor [ms]."""


class Clock(Callback):
    """Times the steps of an epoch behind the warm-up."""

    def __init__(self) -> None:
        self.steps, self._began = 0, (0.0, 0.0)

    def on_train_batch_end(self, *args: Any) -> None:
        """Count a step; start behind the warm-up."""
        self.steps += 1
        if self.steps == WARM_UP:
            self._began = time.perf_counter(), time.process_time()
        self._now = time.perf_counter(), time.process_time()

    @property
    def times(self) -> Times:
        """Of one step."""
        passed = (now - began for now, began in zip(self._now, self._began, strict=True))
        wall, cpu = (1e3 * seconds / (self.steps - WARM_UP) for seconds in passed)
        return wall, cpu


def main() -> None:
    """Time every way once a round, and print milliseconds a step and what is above the bare loop."""
    options = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=positive, default=600, help="of a round")
    options.add_argument("--rounds", type=positive, default=5)
    options.add_argument("--apart", action="store_true", help="time spt without one part at a time, too")
    asked = options.parse_args()
    ways = {BARE: (bare, []), OURS: (ours, []), **{name: (ours, o) for name, o in PARTS.items() if asked.apart}}
    names, found = list(ways), {name: list[Times]() for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(asked.rounds):  # another one comes first each round
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                loop, overrides = ways[name]
                found[name].append(loop(ready(Path(folder), WARM_UP + asked.steps, overrides)))
    show(
        table(found),
        f"{hardware()}; {asked.rounds} rounds of {asked.steps} steps in turn; median (least..greatest).",
    )


def ready(folder: Path, steps: int, overrides: Sequence[str]) -> Prepared:
    """A training of one convolution and one epoch."""
    from hydra import compose, initialize_config_dir

    import spt  # noqa: F401  registers the typed root

    fixed = [
        *(f"data.source.train={BATCH * steps}", "data.source.validation=16", f"data.batch_size={BATCH}"),
        *(
            "loss=dice",
            "optimizer=adamw",
            "trainer=cpu",
            "trainer.max_epochs=1",
            "+trainer.limit_val_batches=0",
            f"cache={folder}",
        ),
    ]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", [*fixed, *overrides])
    config.model = {
        "_target_": "torch.nn.Conv2d",
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": 3,
        "padding": 1,
    }
    return prepare(config, RunFolder(Path(tempfile.mkdtemp(dir=folder))), callbacks=[Clock()])


def ours(prepared: Prepared) -> Times:
    """A step of spt's own training."""
    module = connect(prepared, load_data(prepared))
    prepared.trainer.fit(module, datamodule=prepared.parts.data)
    (clock,) = callbacks_of(prepared.trainer, Clock)
    return clock.times


def bare(prepared: Prepared) -> Times:
    """The same step in a loop that does nothing but train."""
    load_data(prepared)
    parts, clip, clock = prepared.parts, prepared.config.trainer.gradient_clip_val, Clock()
    model, data = parts.model.to(memory_format=torch.channels_last).train(), parts.data
    optimizer = parts.optimizer(parameter_groups(model))
    loader = data.train_dataloader()
    scheduler = parts.scheduler(optimizer, len(loader))
    mixed = prepared.config.trainer.precision == "bf16-mixed"
    for batch in loader:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            loss = parts.loss(resized(model(batch["speckle"]), data.object_size), parts.head.encode(batch["target"]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        scheduler.step()
        clock.on_train_batch_end()
    return clock.times


def table(found: Mapping[str, Sequence[Times]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        found: times of a step, round by round, of every way.
    """
    yield ["", "ms a step", "above the bare loop of the same round", "CPU ms a step", "above the bare loop"]
    for name, each in found.items():
        row = [name]
        for clock in (0, 1):
            more = [ours[clock] - bare[clock] for ours, bare in zip(each, found[BARE], strict=True)]
            row += [spread([times[clock] for times in each], 2), "" if name == BARE else spread(more, 2)]
        yield row


if __name__ == "__main__":
    main()
