"""Scores of the baselines, computed once for one data set and preparation and then read from disk."""

import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.data.readers import evenly
from spt.evaluation.baselines import BASELINES, Baseline
from spt.evaluation.data_identity import add_images
from spt.evaluation.scores import Scores, image_scores, summarise
from spt.files import atomic
from spt.metrics import METRICS

log = logging.getLogger(__name__)

VERSION = 4
"""Raise this when a baseline or a metric gives other numbers: older files are then not read."""

ImageScores = dict[str, dict[str, Float[Tensor, " n"]]]
"""Baseline to metric to one value an image."""


def score_baselines(
    train: Pairs,
    splits: Mapping[str, Pairs],
    preparation: Preparation,
    most_pairs: int,
    cache: Path | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, dict[str, Scores]]:
    """Fit every baseline on the training pairs and score it on every split.

    A baseline that fails for lack of memory, or because its equations cannot be solved, is logged and left out.

    Args:
        train: training pairs.
        splits: the splits to score.
        preparation: the network's own.
        most_pairs: of more training pairs only so many are used, evenly spread.
        cache: folder for the scores of every image, of all baselines; None computes them anew.
        names: of the baselines; None for all.
    Returns:
        Split to baseline to scores.
    """
    if len(train) > most_pairs:
        log.info("Baselines use %d of %d training pairs, evenly spread (baseline_pairs).", most_pairs, len(train))
        train = train.part(evenly(len(train), most_pairs))
    files: dict[str, Path] = {}
    if cache is not None:
        known = _digest(train)
        files = {name: cache / _file_name(known, pairs, preparation) for name, pairs in splits.items()}
    values = {name: stored for name, path in files.items() if (stored := _read(path, len(splits[name])))}
    missing = {name: pairs for name, pairs in splits.items() if name not in values}
    if missing:
        values |= _compute(train, missing, preparation, names or list(BASELINES))
    for name in missing.keys() & files.keys():
        if values[name].keys() == BASELINES.keys():
            _write(files[name], values[name])
    return {
        name: {baseline: summarise(each, pairs, baseline) for baseline, each in values[name].items()}
        for name, pairs in splits.items()
    }


def score_images(baseline: Baseline, pairs: Pairs) -> dict[str, Float[Tensor, " n"]]:
    """Every metric of every image that a baseline makes of a split, block by block."""
    blocks, start = [], 0
    for images in baseline(pairs):
        blocks.append(image_scores(images, pairs.images(start, start + len(images))))
        start += len(images)
    return {metric: torch.cat([block[metric] for block in blocks]) for metric in blocks[0]}


def _compute(
    train: Pairs, splits: Mapping[str, Pairs], preparation: Preparation, names: Sequence[str]
) -> dict[str, ImageScores]:
    values: dict[str, ImageScores] = {name: {} for name in splits}
    for baseline in names:
        try:
            fitted = BASELINES[baseline](train, preparation)
            scored = {name: score_images(fitted, pairs) for name, pairs in splits.items()}
        except (MemoryError, RuntimeError) as error:  # torch raises both a full memory and LinAlgError as RuntimeError
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("The baseline %r is missing, because it failed: %s", baseline, reason)
            continue
        for name, each in scored.items():
            values[name][baseline] = each
    return values


def _digest(pairs: Pairs) -> str:
    """Hash of all speckles and targets, with their shapes and types."""
    digest = hashlib.blake2b(digest_size=16)
    for images in (pairs.speckle, pairs.target):
        add_images(digest, images)
    return digest.hexdigest()


def _file_name(train: str, pairs: Pairs, preparation: Preparation) -> str:
    """Named by a hash of everything that decides the scores."""
    settings = [VERSION, train, _digest(pairs), type(preparation).__name__, preparation.settings()]
    text = json.dumps([*settings, list(BASELINES), list(METRICS)], sort_keys=True)
    return f"baselines-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def _read(path: Path, images: int) -> ImageScores | None:
    """The stored values; None where there is no file, or a damaged one."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        values = {b: {metric: arrays[f"{b}/{metric}"] for metric in METRICS} for b in BASELINES}
        if any(each.shape != (images,) for metrics in values.values() for each in metrics.values()):
            raise ValueError("another number of images")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s is damaged (%s): the baselines are computed again.", path, error)
        return None
    log.info("Scores of the baselines are read from %s.", path)
    return values


def _write(path: Path, values: ImageScores) -> None:
    arrays = {f"{baseline}/{name}": v.numpy() for baseline, each in values.items() for name, v in each.items()}
    try:
        with atomic(path) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        log.warning("The baselines' scores are not stored for later runs: %s", error)
