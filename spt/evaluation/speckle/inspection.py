"""From frames to the printed table, the figure and the words."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from spt.evaluation.score_table import markdown
from spt.evaluation.speckle.checks import Limits, suspicions
from spt.evaluation.speckle.figure import draw, save
from spt.evaluation.speckle.frame_statistics import CONSTANT, Frames, between, measure
from spt.evaluation.speckle.spectra import spectrum_agreement
from spt.evaluation.speckle.statistics_table import print_table, rows
from spt.files import atomic
from spt.optics.statistics import contrast


def report(sets: Sequence[Sequence[Frames]], limits: Limits, folder: Path, pitch: float | None = None) -> None:
    """Measure, print, and write ``speckle_statistics.png`` and ``speckle_statistics.md`` into ``folder``.

    Args:
        sets: data sets, each a list of frames of one diffuser.
        limits: where a value becomes suspicious.
        folder: where the files go; made if needed.
        pitch: of the camera [m], if known.
    Raises:
        InvalidValue: if a diffuser has no frame that is not constant.
        OSError: if the folder cannot be written.
    """
    measured = [measure(frames) for group in sets for frames in group]
    across = [_across(frames, group) for group in sets for frames in group]
    table = list(rows(measured, across, pitch))
    words = [f"{s.name}: {line}" for s in measured for line in suspicions(s, limits)] or ["Nothing is suspicious."]
    words += [line for group in sets for frames in group for line in _spectra(frames)]
    print_table(table)
    print(*words, sep="\n")
    with atomic(folder / "speckle_statistics.md") as part:
        part.write_text(markdown(table) + "\n\n" + "\n".join(f"- {line}" for line in words) + "\n")
    print(f"Figure and table: {save(draw(measured, across), folder / 'speckle_statistics.png')}, .md")


def _spectra(frames: Frames) -> list[str]:
    """Whether a network on spectra can work here."""
    speckle = frames.speckle.float()
    found = spectrum_agreement(speckle[contrast(speckle) > CONSTANT])
    return [f"{frames.name}: {line}" for line in found.sentences()] if found else []


def _across(frames: Frames, group: Sequence[Frames]) -> Float[Tensor, " pairs"]:
    others = [between(frames, other).flatten() for other in group if other is not frames]
    return torch.cat(others) if others else torch.empty(0)
