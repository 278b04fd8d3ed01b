import logging

import pytest
import torch

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation import baseline_scores
from spt.evaluation.baseline_scores import score_baselines, score_images
from spt.evaluation.baselines import BASELINES, MeanImage
from spt.metrics import METRICS, per_image

PREPARATION = Amplitude()


def pairs(n, name="train"):
    speckle, target = (torch.randint(0, 256, (n, 12, 12), dtype=torch.uint8) for _ in range(2))
    return Pairs(name, speckle, target, torch.arange(n) % 2, {"object": torch.arange(n)})


@pytest.fixture
def fits(monkeypatch):
    """Two quick baselines, and the sizes of the training sets that they were fitted on."""
    sizes = []

    def fit(train, preparation):
        sizes.append(len(train))
        return MeanImage(train, preparation)

    monkeypatch.setattr(baseline_scores, "BASELINES", {"mean image": fit, "raw speckle": BASELINES["raw speckle"]})
    return sizes


def test_every_baseline_is_scored_on_every_split():
    train, splits = pairs(12), {"val_seen": pairs(4, "val_seen"), "val_unseen": pairs(6, "val_unseen")}
    scores = score_baselines(train, splits, PREPARATION, 6000)
    assert list(scores) == list(splits)
    for name, split in scores.items():
        assert list(split) == list(BASELINES)
        assert all(set(values) == set(METRICS) for values in split.values())
        assert split["linear ridge"]["pcc"]["n"] == len(splits[name])
        assert split["linear ridge"]["pcc"]["diffusers"] == 2


def test_images_are_scored_against_their_own_targets_whatever_the_blocks():
    split = pairs(5)
    pred = torch.rand(5, 1, 12, 12)
    values = score_images(lambda _: iter(pred.split(2)), split)
    expected = per_image(pred, split.images())
    assert all(torch.equal(values[name], expected[name]) for name in METRICS)


def test_a_part_of_the_pairs_keeps_everything():
    split = pairs(6)
    part = split.part([2, 3, 4])
    assert torch.equal(part.speckle[:], split.speckle[2:5])
    assert torch.equal(part.target[:], split.target[2:5])
    assert part.diffuser.tolist() == [0, 1, 0]
    assert part.parameters["object"].tolist() == [2, 3, 4]


def test_of_many_training_pairs_some_are_used_from_first_to_last(monkeypatch, caplog):
    """Recorded pairs are sorted by diffuser: the first ones know one diffuser alone."""
    used = []

    def fit(train, preparation):
        used.append(train)
        return MeanImage(train, preparation)

    monkeypatch.setattr(baseline_scores, "BASELINES", {"mean image": fit})
    train = pairs(12)
    with caplog.at_level(logging.INFO):
        score_baselines(train, {"val": pairs(2)}, PREPARATION, 4)
    assert used[0].object.tolist() == [0, 4, 7, 11]
    assert torch.equal(used[0].speckle[:], train.speckle[[0, 4, 7, 11]])
    assert torch.equal(used[0].images(), train.images()[[0, 4, 7, 11]])
    assert "Baselines use 4 of 12 training pairs, evenly spread (baseline_pairs)" in caplog.text


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError(), "MemoryError"), (torch.linalg.LinAlgError("not positive-definite"), "not positive-definite")],
)
def test_a_baseline_that_fails_is_missing_and_the_log_says_why(fits, monkeypatch, caplog, tmp_path, error, reason):
    def fail(train, preparation):
        raise error

    monkeypatch.setitem(baseline_scores.BASELINES, "linear ridge", fail)
    scores = score_baselines(pairs(6), {"val": pairs(2)}, PREPARATION, 6000, tmp_path)
    assert list(scores["val"]) == ["mean image", "raw speckle"]
    assert f"'linear ridge' is missing, because it failed: {reason}" in caplog.text
    assert not list(tmp_path.iterdir()), "incomplete scores are not kept"


def test_frames_with_nan_give_null_and_not_0(caplog):
    broken = pairs(3, "val").speckle.float()
    broken[1, 0, 0] = -1
    split = Pairs("val", broken, pairs(3).target, torch.arange(3))
    scores = score_baselines(pairs(6), {"val": split}, PREPARATION, 6000)["val"]
    for name in ("nearest neighbour", "linear ridge"):
        assert scores[name]["pcc"]["mean"] is None
        assert f"{name} on val: pcc, ssim" in caplog.text
    assert scores["mean image"]["pcc"]["mean"] is not None


# The cache -----------------------------------------------------------------------------------------------------------


def test_scores_are_computed_once(fits, tmp_path):
    train, splits = pairs(6), {"val": pairs(4, "val"), "test": pairs(3, "test")}
    first = score_baselines(train, splits, PREPARATION, 6000, tmp_path)
    assert score_baselines(train, splits, PREPARATION, 6000, tmp_path) == first
    assert score_baselines(train, splits, PREPARATION, 6000) == first
    assert len(fits) == 2, "fitted for the first call and for the one without a cache"
    more = score_baselines(train, splits | {"new": pairs(2, "new")}, PREPARATION, 6000, tmp_path)
    assert {name: more[name] for name in first} == first
    assert len(list(tmp_path.iterdir())) == 3


def changed(train, split, preparation, most):
    """One thing changed at a time."""
    for images in ("speckle", "target"):
        for index, original in ((0, train), (1, split)):
            arrays = {"speckle": original.speckle, "target": original.target}
            arrays[images] = arrays[images].clone()
            arrays[images][0, 0, 0] ^= 1
            new = Pairs(original.name, *arrays.values(), original.diffuser)
            yield f"{images} of {original.name}", (new, split) if index == 0 else (train, new), preparation, most
    yield "preparation", (train, split), Amplitude(scale="maximum"), most
    yield "pairs", (train, split), preparation, 5


def test_other_pixels_preparations_and_numbers_are_computed_anew(fits, tmp_path):
    train, split = pairs(6), pairs(4, "val")
    score_baselines(train, {"val": split}, PREPARATION, 6000, tmp_path)
    for what, (other_train, other_split), preparation, most in changed(train, split, PREPARATION, 6000):
        known = len(fits)
        score_baselines(other_train, {"val": other_split}, preparation, most, tmp_path)
        assert len(fits) == known + 1, what


def test_another_version_is_computed_anew(fits, tmp_path, monkeypatch):
    train, splits = pairs(6), {"val": pairs(4, "val")}
    score_baselines(train, splits, PREPARATION, 6000, tmp_path)
    monkeypatch.setattr(baseline_scores, "VERSION", 0)
    score_baselines(train, splits, PREPARATION, 6000, tmp_path)
    assert len(fits) == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: b"", lambda data: data.replace(b"pcc", b"pqc")]
)
def test_a_damaged_file_is_computed_again_and_replaced(fits, tmp_path, caplog, damage):
    train, splits = pairs(6), {"val": pairs(4, "val")}
    first = score_baselines(train, splits, PREPARATION, 6000, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert score_baselines(train, splits, PREPARATION, 6000, tmp_path) == first
    assert "is damaged" in caplog.text
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_only_the_cache(fits, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert score_baselines(pairs(6), {"val": pairs(4)}, PREPARATION, 6000, tmp_path / "file" / "cache")["val"]
    assert "not stored for later runs" in caplog.text
