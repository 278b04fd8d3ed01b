"""Hashes of the images that scores depend on."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, composed

from spt.data.pairs import Pairs
from spt.data.source import Source
from spt.evaluation.data_identity import data_hashes
from spt.run.building import build
from spt.run.data_facts import data_facts


class Recorded(Source):
    """Nothing is asked of it."""

    size = 16

    def load(self) -> dict[str, Pairs]:
        return {}


def pairs(name: str = "val_seen") -> Pairs:
    speckle = torch.arange(4 * 256, dtype=torch.int32).reshape(4, 16, 16).to(torch.uint8)
    return Pairs(name, speckle, speckle.flip(0), torch.tensor([0, 0, 1, 1]), {"object": torch.arange(4)})


def test_train_has_no_hash_and_the_same_images_have_the_same():
    splits = {"train": pairs("train"), "val_seen": pairs(), "val_unseen": pairs("val_unseen")}
    first, again = data_hashes(Recorded(), splits), data_hashes(Recorded(), splits)
    assert first == again
    assert list(first) == ["val_seen", "val_unseen"]
    assert len(set(first.values())) == 2


def one_pixel(images: torch.Tensor) -> torch.Tensor:
    changed = images.clone()
    changed[3, 15, 15] += 1
    return changed


@pytest.mark.parametrize(
    "change",
    [
        {"speckle": one_pixel(pairs().speckle)},
        {"target": one_pixel(pairs().target)},
        {"diffuser": torch.tensor([0, 0, 1, 2])},
        {"parameters": {"object": torch.tensor([0, 1, 2, 9])}},
        {"speckle": pairs().speckle.to(torch.int32)},
    ],
    ids=["speckle", "target", "diffuser", "object", "type"],
)
def test_anything_that_changes_recorded_pairs_changes_the_hash(change: Mapping[str, Any]):
    hashes = [data_hashes(Recorded(), {"val_seen": each})["val_seen"] for each in (pairs(), replace(pairs(), **change))]
    assert hashes[0] != hashes[1]


def simulated(*overrides: str) -> dict[str, str]:
    data = build(composed("data=one_diffuser", *TINY, *overrides).data)
    data.setup()
    facts = data_facts(data)
    assert facts["splits"]["train"] == {"n": len(data.splits["train"]), "diffusers": 1, "objects": 24, "hash": None}
    return {name: split["hash"] for name, split in facts["splits"].items() if name != "train"}


@pytest.fixture(scope="module")
def usual(cache: Path) -> dict[str, str]:
    return simulated()


def test_more_training_pairs_leave_the_scored_images_alone(usual: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    data = build(composed("data=one_diffuser", *TINY, "data.source.train=25").data)
    data.setup()
    assert data_hashes(data.source, data.splits) == usual


def test_other_optics_and_another_processor(usual: dict[str, str]):
    """Numbers of objects and diffusers are the same; only the settings tell other optics."""
    assert usual.keys() == {"val_seen", "val_class", "val_unseen", "test_seen"}
    other = simulated("data.source.camera.photoelectrons=150")
    assert all(other[split] != usual[split] for split in usual)
    data = build(composed("data=one_diffuser", *TINY).data)
    data.setup()
    rounded = {
        name: replace(each, speckle=one_pixel(each.speckle[:])) if name != "train" else each
        for name, each in data.splits.items()
    }
    assert data_hashes(data.source, rounded) == usual
