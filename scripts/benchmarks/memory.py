"""Time and peak memory of a training step without and with activation checkpointing.

python scripts/benchmarks/memory.py --models spt_unet sa_cnn --sizes 256 --repeats 2
"""

from collections.abc import Iterator
from statistics import median
from typing import Any

from machine import built, each, names, parser, show
from networks import add_network_options, measure_network, note, settings
from rounds import megabytes, milliseconds
from torch import nn

from spt.training.memory import checkpoint_activations


def main() -> None:
    """Measure every network at every size, each case in a process of its own."""
    options = parser(__doc__, sizes=[256], repeats=7)
    add_network_options(options, names("model"))
    asked = options.parse_args()
    cases = [
        {"name": name, "size": size, "training": True, "checkpointing": checkpointing, **settings(asked)}
        for name in asked.models
        for size in asked.sizes
        for checkpointing in (False, True)
    ]
    show(table(each(measure, cases)), note(asked))


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Measure one network of `configs/model`."""
    checkpointing = case.pop("checkpointing")

    def build() -> nn.Module:
        model = built(f"model={case['name']}", part="model")
        if checkpointing:
            checkpoint_activations(model)
        return model

    return measure_network(build, **case)


def table(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Header and rows.

    Args:
        rows: of :func:`measure_network`, without and with checkpointing in turn.
    """
    yield ["network", "px", "batch", "plain, ms", "checkpointed, ms", "time ratio", "plain", "checkpointed", "saved"]
    for plain, saving in zip(rows[::2], rows[1::2], strict=True):
        memory = [plain["bytes"], saving["bytes"]]
        yield [
            *(plain["name"], str(plain["size"]), str(plain["batch"])),
            *(milliseconds(row["seconds"]) for row in (plain, saving)),
            f"{median(saving['seconds']) / median(plain['seconds']):.2f}",
            *map(megabytes, memory),
            f"{1 - memory[1] / memory[0]:.0%}" if all(memory) else "",
        ]


if __name__ == "__main__":
    main()
