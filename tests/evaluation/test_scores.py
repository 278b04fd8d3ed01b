import logging
import math

import pytest
import torch

from spt.data.pairs import Pairs
from spt.evaluation.scores import image_scores, numbers, summarise, summarise_calibration
from spt.metrics import METRICS, calibration_error, per_image, reliability


def split(n, diffuser=None):
    images = torch.zeros(n, 16, 16)
    return Pairs("val_seen", images, images, torch.arange(n) if diffuser is None else diffuser)


def test_every_metric_has_mean_error_and_counts():
    # PSNR of two images behind diffusers of their own: 20 and 40 dB; mean 30, error (40 - 20) / sqrt(2) / sqrt(2) = 10.
    values = summarise({"psnr": torch.tensor([20.0, 40.0])}, split(2), "net")
    assert values == {"psnr": {"mean": 30, "sem": pytest.approx(10), "n": 2, "diffusers": 2}}


def test_the_error_is_over_diffusers():
    values = torch.rand(4)[torch.arange(4).repeat_interleave(8)]
    score = summarise({"pcc": values}, split(32, torch.arange(4).repeat_interleave(8)), "net")["pcc"]
    assert score["sem"] == pytest.approx(values[::8].double().std().item() / 2, rel=1e-6)
    assert (score["n"], score["diffusers"]) == (32, 4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_image_with_one_bad_pixel_has_no_score_and_its_neighbours_keep_theirs(bad):
    pred, target = torch.rand(2, 3, 1, 16, 16).unbind()
    expected = per_image(pred, target)
    pred = pred.clone()
    pred[1, 0, 3, 4] = bad
    values = image_scores(pred, target)
    assert set(values) == set(METRICS)
    for name, each in values.items():
        assert each.isnan().tolist() == [False, True, False], name
        assert torch.equal(each[[0, 2]], expected[name][[0, 2]])


def test_a_metric_that_is_not_finite_is_null_and_the_log_says_why(caplog):
    with caplog.at_level(logging.WARNING):
        values = summarise({"pcc": torch.tensor([0.5, math.nan]), "mse": torch.tensor([0.1, 0.3])}, split(2), "net")
    assert values["pcc"] == {"mean": None, "sem": None, "n": 2, "diffusers": 2}
    assert values["mse"]["mean"] == pytest.approx(0.2)
    assert caplog.messages == ["net on val_seen: pcc is null; image 1 not finite."]


def test_calibration_is_pooled_over_the_pixels_of_all_images():
    pred, target = torch.rand(2, 5, 1, 8, 8).unbind()
    sums = reliability(pred, target, 10)
    score = summarise_calibration(sums, split(5))
    assert score["mean"] == calibration_error(sums.sum(0)).item()
    assert score["sem"] > 0
    sums[2] = torch.nan
    assert summarise_calibration(sums, split(5)) == {"mean": None, "sem": None, "n": 5, "diffusers": 5}


def test_many_images_are_counted():
    assert numbers([5]) == "image 5"
    assert numbers({9, 2}) == "images 2, 9"
    assert numbers(list(range(12))) == "images 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (12 in all)"
