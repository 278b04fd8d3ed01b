"""The notes' figures of the field's networks, as printed, and ours: published, ours, ratio, note."""

import csv
from collections.abc import Iterable, Mapping
from importlib.resources import files

from spt.complexity.networks import Cost
from spt.complexity.operators import CONVOLUTIONS
from spt.complexity.sheet import Row, Sheet

READING = (
    'The notes print "FLOPs" under "batch 2", and elsewhere that FLOPs are 2 MACs. Read as MACs of one image, '
    "convolutions only (a counter of modules sees no attention products), SpT UNet agrees within 0.01 %; as operations "
    "of one image, or MACs of both, a network would have half of these MACs, as operations of both images a quarter. "
    "The notes do not decide it."
)
TIME = 'Printed as "batch/ms", read as ms per batch of 2; hardware not named: the ratio compares machines too.'


def read(name: str) -> list[dict[str, str]]:
    """Rows of one of the package's CSV files."""
    with (files("spt.complexity") / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


PUBLISHED = {(row["network"], int(row["px"])): row for row in read("networks_printed.csv")}
"""(config name, image side) to a row of the notes, section 散射成像领域的模型对比, "batch 2", hardware not named.

The convention of its ``flops`` is not stated. Where something has to be said about a figure, ``note_on_…`` says it.
"""


def comparison(costs: Iterable[Cost], refused: Iterable[str], timings: Mapping[tuple[str, int], float]) -> Sheet:
    """Published | ours | ratio | note.

    Args:
        costs: of :func:`measure_all`.
        refused: sizes that were not possible.
        timings: (network, px) -> measured time of a batch [s]; empty where nothing was timed.
    """
    rows: list[Row] = []
    for cost in costs:
        printed, seconds = PUBLISHED.get((cost.network, cost.px), {}), timings.get((cost.network, cost.px))
        p, batch = cost.profile, cost.profile.batch
        parameters, giga = sum(w.numel() for w in cost.model.parameters()), 1e9 * batch
        for name, key, unit, ours, note in (
            ("parameters, 1e6", "parameters", 1e6, parameters / 1e6, "note_on_parameters"),
            ("GMAC of an image, convolutions", "flops", 1e9, p.of(*CONVOLUTIONS).macs / giga, "note_on_flops"),
            ("GMAC of an image, all products", "flops", 1e9, p.macs / giga, ""),
            ("images/s", "images_per_second", 1, batch / seconds if seconds else None, "note_on_images_per_second"),
            ("ms per batch", "ms_per_batch", 1, 1e3 * seconds if seconds else None, ""),
        ):
            published = float(printed[key]) / unit if printed else None
            if ours is not None or (printed and key == "images_per_second"):
                row: Row = {"network": cost.network, "px": cost.px, "quantity": name, "published": published}
                row["ours"] = None if ours is None else round(ours, 6)
                row["ratio"] = None if ours is None or published is None else round(ours / published, 4)
                rows.append(row | {"note": printed.get(note, "") if printed else "not in the notes"})
    untimed = [] if timings else ["images/s of ours: timing=true."]
    return Sheet("comparison", "Networks beside the notes' figures", rows, [READING, TIME, *untimed, *refused])
