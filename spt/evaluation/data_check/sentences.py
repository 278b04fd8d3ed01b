"""What the images of a set say together: statistics, suspicions, order, leaks; a sentence each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor

from spt.data.alignment import alignment, unpredictable
from spt.data.exchanged import exchanged
from spt.data.leaks import find_leaks
from spt.data.pairs import Pairs
from spt.data.preparation.target import images
from spt.data.readers import evenly
from spt.data.recorded.table import counted
from spt.errors import UserError
from spt.evaluation.speckle.checks import Limits, suspicions
from spt.evaluation.speckle.frame_statistics import Frames, by_diffuser, measure

SAMPLE = 64
"""Frames of a diffuser that are measured, and objects that are described."""
SWAPPED = 2.0
"""Grains that are so many times as long as wide are suspicious."""
SHOWN = 5
"""Leaks that are named."""


@dataclass(frozen=True)
class Sentence:
    """One thing to say; ``bad`` where the set should not be used as it is."""

    text: str
    bad: bool = False


def of_splits(splits: Mapping[str, Pairs], recorded: bool, saturated: float) -> Iterator[Sentence]:
    """Speckles and objects of the training pairs, their order, and the leaks between the splits.

    Args:
        splits: pairs by the name of their split; bad ones are left out already.
        recorded: whether somebody divided the pairs, so that they may leak.
        saturated: share of pixels at the brightest level that is suspicious.
    """
    first = next(iter(splits.values()))
    train = splits.get("train", first)
    if recorded and (said := exchanged(train)):
        yield Sentence(f"Suspicious: {said}")
    yield from _speckles(train, saturated)
    yield _objects(train)
    for pairs in splits.values():
        several = len(pairs) > 1 if pairs is train else len(pairs.object.unique()) > 1
        if several and (said := unpredictable(pairs)):
            yield Sentence(said, bad=True)
    order = alignment(train)
    if order is not None:
        yield Sentence(str(order), bad=order.verdict == "shifted")
    if recorded:
        yield from _leaks(splits)


def _speckles(pairs: Pairs, saturated: float) -> Iterator[Sentence]:
    try:
        groups = by_diffuser(pairs, SAMPLE, f"{pairs.name}, ")
    except UserError as error:
        yield Sentence(f"Not measured: {error}")
        return
    for frames in groups:
        yield from of_frames(frames.name, frames.speckle, frames.target, saturated)


def of_frames(
    name: str, speckle: Shaped[Tensor, "n h w"], target: Float[Tensor, "n h w"] | None, saturated: float
) -> Iterator[Sentence]:
    """Speckle statistics of frames that belong together, and what is suspicious about them.

    Args:
        name: what the sentences call them.
        speckle: the frames (n, h, w).
        target: their objects in [0, 1], of the same size; None where they are not known.
        saturated: share of pixels at the brightest level that is suspicious.
    """
    try:
        measured = measure(Frames(name, speckle, target))
    except UserError as error:
        yield Sentence(f"Not measured: {error}")
        return
    (height, width), (along_y, along_x) = measured.size, measured.grain
    yield Sentence(
        f"{measured.name}: {counted(measured.frames, 'frame')} of {height}x{width} px measured: contrast "
        f"{measured.flat_contrast.mean():.2f}, grain {along_y:.1f} px along y and {along_x:.1f} px along x, "
        f"{measured.levels} grey levels."
    )
    for said in suspicions(measured, Limits(saturated=saturated)):
        yield Sentence(f"Suspicious: {measured.name}: {said}")
    if max(measured.grain) > SWAPPED * min(measured.grain):
        yield Sentence(
            f"Suspicious: {measured.name}: the grain is {along_y:.1f} px along y but {along_x:.1f} px along x. Height "
            "and width may be exchanged, or rows read with a wrong shape."
        )


def _objects(pairs: Pairs) -> Sentence:
    shown = images(pairs.target[evenly(len(pairs), SAMPLE)])
    grey = ((shown > 0) & (shown < 1)).float().mean()
    spread = shown.mean((1, 2, 3)).std(unbiased=False)
    height, width = pairs.target.shape[1:]
    return Sentence(
        f"{pairs.name}: objects of {height}x{width} px, mean {shown.mean():.2f} (from 0 to 1; {spread:.2f} standard "
        f"deviation over objects), {grey:.0%} of the pixels grey, the others black or white."
    )


def _leaks(splits: Mapping[str, Pairs]) -> Iterator[Sentence]:
    found = find_leaks(splits)
    for leak in found[:SHOWN]:
        yield Sentence(f"Leak: {leak}.", bad=True)
    if len(found) > SHOWN:
        yield Sentence(f"{len(found) - SHOWN:,} more leaks.", bad=True)
    if not found:
        yield Sentence("No pair of another split repeats one of train.")
