import matplotlib.text
import numpy as np
import pytest
from matplotlib.figure import Figure

from spt.evaluation.compare.comparison import Comparison, Row, Value
from spt.evaluation.compare.figure import comparison_figure

SEEN, UNSEEN = ("pcc", "val_seen"), ("pcc", "val_unseen")


def table(labels: list[tuple[str, ...]], keys: list[str]) -> Comparison:
    rows = [Row(each, {SEEN: Value(0.5 + k / 10, 0.01), UNSEEN: Value(0.2)}, 2) for k, each in enumerate(labels)]
    return Comparison("Data: simulated", keys, [SEEN, UNSEEN], rows, [], over_seeds=True)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Draws, and tells what is written in the figure."""

    def draw(comparison: Comparison) -> tuple[np.ndarray, list[str]]:
        figures: list[Figure] = []
        before = Figure.tight_layout
        monkeypatch.setattr(Figure, "tight_layout", lambda self: (figures.append(self), before(self))[1])
        picture = comparison_figure(comparison, "pcc")
        return picture, [text.get_text() for text in figures[-1].findobj(matplotlib.text.Text)]

    return draw


def test_two_settings_make_a_heat_map_with_the_numbers_in_its_cells(drawn):
    labels = [("spt_unet", "dice"), ("spt_unet", "bce"), ("sa_cnn", "dice")]  # the fourth was not run
    picture, texts = drawn(table(labels, ["model", "loss"]))
    assert {"val_seen", "val_unseen", "spt_unet", "sa_cnn", "dice", "bce", "model", "loss"} <= set(texts)
    assert {"0.500\n± 0.010", "0.600\n± 0.010", "0.700\n± 0.010"} <= set(texts)
    assert picture.dtype == np.uint8
    assert picture.std() > 20


def test_one_setting_makes_bars(drawn):
    picture, texts = drawn(table([("dice",), ("bce",)], ["loss"]))
    assert {"dice", "bce", "loss", "val_seen", "val_unseen"} <= set(texts)
    blue = (picture == (0x34, 0x65, 0xA4)).all(-1)
    assert blue.mean() > 0.1


def test_three_settings_make_bars_too(drawn):
    _, texts = drawn(table([("a", "b", "c"), ("a", "d", "e")], ["model", "loss", "seed"]))
    assert "a, b, c" in texts


def test_a_score_that_is_null_leaves_its_bar_out(drawn):
    comparison = table([("dice",), ("bce",)], ["loss"])
    comparison.rows[1] = Row(("bce",), {SEEN: Value(None), UNSEEN: Value(0.2)}, 2)
    picture, _ = drawn(comparison)
    assert picture.std() > 20
