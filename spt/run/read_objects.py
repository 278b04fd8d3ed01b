"""The verb read objects: does a classifier read the reconstructions as it reads the objects?"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich import get_console
from rich.progress import track
from torch import Tensor

from spt.data.objects import ObjectSource, StoredObjects
from spt.data.pairs import Pairs
from spt.errors import InvalidValue
from spt.evaluation.classifier import Classifier, train_classifier
from spt.evaluation.metrics_file import write_json
from spt.evaluation.predict import Predictor
from spt.files import check_writable
from spt.run.bundled import refuse_bundled
from spt.run.evaluate import Request, read_data
from spt.run.trained import open_trained

LEAST = 100
"""Labelled objects that a classifier needs at least."""


@dataclass(frozen=True)
class Reading:
    """What a classifier read.

    Args:
        right: share of labelled objects, of its validation, that it reads right.
        splits: split to (reconstructions that it reads as their objects, all of them).
        out: file of the numbers.
    """

    right: float
    splits: dict[str, tuple[int, int]]
    out: Path

    def sentences(self) -> list[str]:
        """What was found."""
        said = [
            f"The classifier reads {100 * self.right:.1f} % of labelled objects right, which it did not learn from."
        ]
        for name, (same, count) in self.splits.items():
            said.append(f"{name}: {same} of {count} images are read as their objects ({100 * same / count:.0f} %).")
        return said


def read_objects(
    run: Path, objects: ObjectSource, count: int, seed: int, out: Path | None, device: str, refine: bool = False
) -> Reading:
    """Train a classifier on labelled objects, then let it read objects and reconstructions of the run's own data.

    Args:
        run: run folder.
        objects: labelled ones, of the kind that the run's data show; those of its split ``train`` are learned from.
        count: so many of them.
        seed: of the classifier.
        out: file of the numbers; None for ``evaluation/read_objects.json`` in the run folder.
        device: where the network works.
        refine: whether the images are refined through the twin that made the training pairs.
    Raises:
        UserError: if there is no such run, no twin where one is needed, or the objects have no labels. Nothing is
            written then.
    """
    if count < LEAST:
        raise InvalidValue(f"images must be {LEAST} or more, got {count}.")
    net = open_trained(run, device)
    if out is None:
        refuse_bundled(net.folder.path)
    check_writable((out or net.folder.evaluation / "x").parent)
    data = read_data(net, Request(str(run), baseline_pairs=0, device=device))
    predictor = net.refined(net.predictor()) if refine else net.predictor()
    network, right = _classifier(objects, count, seed)
    splits = {}
    for name, pairs in data.splits.items():
        truth, read = (network.read(shown) for shown in (pairs.images()[:, 0], _images(predictor, pairs)))
        splits[name] = (int((read == truth).sum()), len(pairs))
    reading = Reading(right, splits, out or net.folder.evaluation / f"read_objects{'_refined' if refine else ''}.json")
    numbers = {name: {"same": same, "n": total} for name, (same, total) in splits.items()}
    write_json(reading.out, {"labelled_right": right, "objects": objects.describe(), **numbers})
    return reading


def _images(predictor: Predictor, pairs: Pairs) -> Float[Tensor, "n h w"]:
    return torch.cat([images for _, _, images in predictor.batches(pairs)])[:, 0]


def _classifier(objects: ObjectSource, count: int, seed: int) -> tuple[Classifier, float]:
    """The classifier, and the share of the validating objects that it reads right.

    Raises:
        InvalidValue: if the objects have no labels, or all the same.
    """
    names = objects.classes("train", range(count), seed) if isinstance(objects, StoredObjects) else []
    known = sorted(set(names))
    if len(known) < 2:
        raise InvalidValue(
            f"a classifier needs objects of two classes or more, and these have {', '.join(known) or 'no labels'}. "
            "Choose objects=mnist_all, or objects=folder with a sub-folder for each class."
        )
    assert isinstance(objects, StoredObjects)
    tests = range(min(objects.count("val_seen") or 0, 2000))
    learned = _drawn(objects, "train", range(count), known, seed)
    network = train_classifier(*learned, seed, _shown)
    shown, classes = _drawn(objects, "val_seen", tests, known, seed)
    return network, float((network.read(shown) == classes).float().mean())


def _drawn(objects: StoredObjects, split: str, rows: range, known: list[str], seed: int) -> tuple[Tensor, Tensor]:
    shown = torch.from_numpy(objects.draw(split, rows, 28, seed)).float() / 255
    names = objects.classes(split, rows, seed)
    return shown, torch.tensor([known.index(name) if name in known else -1 for name in names])


def _shown(batches: Iterable[Tensor]) -> Any:
    return track(list(batches), "Training the classifier", disable=not get_console().is_terminal, transient=True)
