import pytest

from spt.evaluation.headline import best_baseline, headline, in_words


def scores(pcc):
    return {"pcc": {"mean": pcc, "sem": 0.01, "n": 4}, "ssim": {"mean": 1.0, "sem": 0.01, "n": 4}}


BASELINES = {"best blur": scores(0.6), "mean image": scores(0.5), "raw speckle": scores(None)}


def test_one_sentence_says_the_result():
    assert in_words("Through unseen diffusers", scores(0.84), BASELINES) == (
        "Through unseen diffusers: PCC 0.840, the best baseline 0.600 (best blur)."
    )
    assert in_words("Here", scores(0.84), {}) == "Here: PCC 0.840."
    assert in_words("Here", scores(None), BASELINES) == "Here: no PCC, since a prediction is not finite."
    assert best_baseline({"raw speckle": scores(None)}) is None


@pytest.mark.parametrize(
    ("splits", "quoted"),
    [
        (["val_seen", "val_class", "val_unseen", "test_seen"], ["(test_seen)", "(val_unseen)"]),
        (["val_seen", "test_unseen", "val_unseen"], ["(val_seen, which chose the epoch)", "(test_unseen)"]),
        (["val_seen"], ["(val_seen, which chose the epoch)"]),
        (["val_unseen"], ["(val_unseen)"]),
        (["val_class"], ["On val_class"]),
    ],
)
def test_the_splits_that_chose_nothing_are_quoted(splits, quoted):
    said = headline({name: scores(0.5) for name in splits}, dict.fromkeys(splits, BASELINES))
    assert said.count("PCC") == len(quoted)
    assert all(words in said for words in quoted)
