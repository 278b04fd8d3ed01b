import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf

from spt.evaluation.reliability import BLUE, RED, reliability_diagram


def true(bins: int = 15) -> torch.Tensor:
    """A thousand pixels a bin, each as often lit as it says."""
    at = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    return torch.stack([torch.full_like(at, 1000), 1000 * at, 1000 * at])


@pytest.fixture(scope="module")
def diagram() -> np.ndarray:
    """The diagram of true probabilities, drawn once."""
    return reliability_diagram(true(), "net")


def count(diagram: np.ndarray, colour: str, alpha: float = 1.0) -> int:
    """Pixels of one colour over white."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    return int((np.abs(diagram.astype(int) - (255 + alpha * (rgb - 255))) < 4).all(-1).sum())


def test_gaps_are_red_where_the_probabilities_are_false(diagram):
    over = true()
    over[2] /= 2
    drawn = (diagram, *(reliability_diagram(sums, "net") for sums in ((true() + over) / 2, over)))
    truthful, mild, bad = (count(picture, RED, 0.6) for picture in drawn)
    key = truthful  # the legend's sample
    assert (bad - key) == pytest.approx(2 * (mild - key), rel=0.2)
    assert bad - key > 1000


def test_the_histogram_has_a_bar_for_every_bin_with_pixels(diagram):
    some = true()
    some[:, 3:] = 0
    bars = [count(picture[-200:], BLUE) for picture in (reliability_diagram(some, "net"), diagram)]
    assert bars[1] == pytest.approx(5 * bars[0], rel=0.03)


def test_an_image_in_bytes_with_its_title(diagram):
    other = reliability_diagram(true(), "ten")
    assert diagram.dtype == np.uint8
    assert diagram.shape == (672, 600, 3)
    changed = np.argwhere((diagram != other).any(-1))
    assert len(changed) > 0
    assert changed[:, 0].max() < 40, "only the title differs"
    assert Gcf.get_all_fig_managers() == [], "drawing leaves no global figure behind"
