import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from PIL import Image

from spt.evaluation.reliability import BLUE, RED, reliability_diagram, score_calibration
from spt.metrics import calibration_error, calibration_summary, reliability


def true(bins: int = 15) -> torch.Tensor:
    """A thousand pixels a bin, each as often lit as it says."""
    at = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    return torch.stack([torch.full_like(at, 1000), 1000 * at, 1000 * at])


def count(diagram: np.ndarray, colour: str, alpha: float = 1.0) -> int:
    """Pixels of one colour over white."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    return int((np.abs(diagram.astype(int) - (255 + alpha * (rgb - 255))) < 4).all(-1).sum())


def test_gaps_are_red_where_the_probabilities_are_false():
    over = true()
    over[2] /= 2
    truthful, mild, bad = (
        count(reliability_diagram(sums, "net"), RED, 0.6) for sums in (true(), (true() + over) / 2, over)
    )
    key = truthful  # the legend's sample
    assert (bad - key) == pytest.approx(2 * (mild - key), rel=0.2)
    assert bad - key > 1000


def test_the_histogram_has_a_bar_for_every_bin_with_pixels():
    few = true()
    few[:, 3:] = 0
    bars = [count(reliability_diagram(sums, "net")[-200:], BLUE) for sums in (few, true())]
    assert bars[1] == pytest.approx(5 * bars[0], rel=0.03)


def test_an_image_in_bytes_with_its_title():
    first, again, other = (reliability_diagram(true(), title) for title in ("net", "net", "ten"))
    assert first.dtype == np.uint8
    assert first.shape == (672, 600, 3)
    assert np.array_equal(first, again)
    changed = np.argwhere((first != other).any(-1))
    assert len(changed) > 0
    assert changed[:, 0].max() < 40, "only the title differs"


def test_the_split_is_scored_and_drawn(tmp_path):
    pred, target = torch.rand(2, 3, 1, 8, 8).unbind()
    path = tmp_path / "figures" / "val_reliability.png"
    value = score_calibration(pred, target, 10, "val", path)
    sums = reliability(pred, target, 10)
    assert value == calibration_summary(sums)
    assert value["mean"] == calibration_error(sums.sum(0)).item()
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), reliability_diagram(sums.sum(0), "val"))


def test_drawing_leaves_no_global_figure_behind():
    reliability_diagram(true(), "net")
    assert Gcf.get_all_fig_managers() == []
