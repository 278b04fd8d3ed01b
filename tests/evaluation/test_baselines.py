import logging

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from spt.data.pairs import Pairs
from spt.data.preparation import Preparation
from spt.evaluation import baselines
from spt.evaluation.baselines import (
    RIDGE_STRENGTHS,
    LinearRidge,
    NearestNeighbour,
    best_blur,
    fit_baselines,
    gaussian_blur,
)
from spt.metrics import pcc

NAMES = ["raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"]


def pairs(n=12, h=16, w=13, name="train"):
    target = torch.randint(0, 2, (n, h, w), dtype=torch.uint8) * 255
    return Pairs(name, torch.randint(0, 256, (n, h, w), dtype=torch.uint8), target, torch.zeros(n))


def linear(m, d, noise=0.0):
    """Features and targets in [0, 1] that are a linear map of them plus noise."""
    features = torch.randn(m, d)
    weights = 0.02 * torch.randn(d, 12)
    return features, (0.5 + features @ weights + noise * torch.randn(m, 12)).view(m, 1, 3, 4)


def test_ridge_recovers_a_linear_map():
    features, target = linear(300, 10)
    ridge = LinearRidge(features[:200], target[:200])
    assert ridge.strength == RIDGE_STRENGTHS[0]
    torch.testing.assert_close(ridge(features[200:]), target[200:], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("m", "d"), [(60, 15), (20, 20), (15, 60)], ids=["primal", "square", "dual"])
def test_ridge_solves_the_normal_equations(m, d):
    """(X^T X + strength * mean diagonal of the solved system) W = X^T Y of the centred data, by numpy in float64."""
    features, target = linear(m, d, noise=0.05)
    ridge = LinearRidge(features, target)
    x, y = features.double().numpy(), target.flatten(1).double().numpy()
    x0, y0 = x - x.mean(0), y - y.mean(0)
    penalty = ridge.strength * np.square(x0).sum() / min(m, d)
    weights = np.linalg.solve(x0.T @ x0 + penalty * np.eye(d), x0.T @ y0)
    new = torch.randn(7, d)
    expected = np.clip((new.double().numpy() - x.mean(0)) @ weights + y.mean(0), 0, 1)
    np.testing.assert_allclose(ridge(new).flatten(1), expected, atol=2e-5)


def test_ridge_regularises_more_where_there_is_nothing_to_learn():
    features, target = torch.randn(100, 80), torch.rand(100, 1, 3, 4)
    ridge = LinearRidge(features, target)
    assert ridge.strength == RIDGE_STRENGTHS[-1]
    torch.testing.assert_close(ridge(torch.zeros(1, 80)), target.mean(0, keepdim=True), rtol=0, atol=0.05)


def test_ridge_is_clipped_to_0_and_1():
    features = torch.linspace(-1, 1, 40)[:, None]
    ridge = LinearRidge(features, 0.5 + 0.5 * features.view(-1, 1, 1, 1).expand(-1, 1, 2, 2))
    values = ridge(torch.tensor([[-9.0], [0.0], [9.0]]))
    assert values[:, 0, 0, 0].tolist() == pytest.approx([0, 0.5, 1], abs=1e-6)


@pytest.mark.parametrize("m", [1, 2])
def test_ridge_on_hardly_any_pairs_is_finite(m):
    target = torch.rand(m, 1, 3, 4)
    pred = LinearRidge(torch.randn(m, 6), target)(torch.randn(5, 6))
    assert pred.shape == (5, 1, 3, 4)
    assert pred.isfinite().all()
    if m == 1:
        torch.testing.assert_close(pred, target.expand(5, -1, -1, -1))


def test_nearest_neighbour_of_a_training_speckle_is_its_own_target():
    features, target = torch.rand(20, 50), torch.rand(20, 1, 4, 4)
    nearest = NearestNeighbour(features, target)
    assert torch.equal(nearest(features), target)
    assert torch.equal(nearest(features[[3, 3, 19]]), target[[3, 3, 19]])
    assert torch.equal(nearest(features + 0.1 * torch.randn(20, 50)), target)


def test_nearest_neighbour_is_blind_to_scale_and_offset():
    features, target = torch.rand(20, 50), torch.rand(20, 1, 4, 4)
    nearest = NearestNeighbour(features * torch.linspace(0.1, 100, 20)[:, None] + 3, target)
    assert torch.equal(nearest(features * torch.linspace(30, 0.2, 20)[:, None] - 7), target)


def test_nearest_neighbour_means_correlation_and_not_its_size():
    """The negative of a frame correlates by -1: it is the farthest, not the nearest."""
    frame, other = torch.rand(2, 50)
    target = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert NearestNeighbour(torch.stack([frame, other]), target)(-frame[None]).mean() == 1


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("shape", [(32, 32), (20, 33)])
def test_blur_equals_scipy(sigma, shape):
    image = torch.rand(2, 1, *shape)
    expected = gaussian_filter(image.double().numpy(), sigma, mode="nearest", truncate=3, axes=(2, 3))
    expected /= expected.max((2, 3), keepdims=True)
    np.testing.assert_allclose(gaussian_blur(image, sigma), expected, atol=2e-6)


def test_blur_stretches_to_1_and_takes_any_size():
    for h, w in ((5, 9), (16, 13), (1, 1)):
        blurred = gaussian_blur(torch.rand(3, 1, h, w) * 0.1, 12.0)
        assert blurred.shape == (3, 1, h, w)
        torch.testing.assert_close(blurred.amax((1, 2, 3)), torch.ones(3))
    assert (gaussian_blur(torch.zeros(1, 1, 8, 8), 2.0) == 0).all()


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0, 8.0])
def test_best_blur_finds_the_width(sigma):
    speckle = torch.randint(0, 256, (6, 48, 48), dtype=torch.uint8)
    blurred = gaussian_filter(speckle.double().numpy(), sigma, mode="nearest", axes=(1, 2))
    target = torch.from_numpy(blurred / 255).float()[:, None]
    assert best_blur(speckle, target) == sigma


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    train = pairs()
    return train, fit_baselines(train, Preparation())


def test_every_baseline_gives_images(fitted):
    train, methods = fitted
    assert list(methods) == NAMES
    for name, method in methods.items():
        for split in (train, pairs(5, name="val")):
            pred = method(split)
            assert pred.shape == (len(split), 1, 16, 13), name
            assert pred.dtype == torch.float32
            assert ((pred >= 0) & (pred <= 1)).all(), name


def test_raw_speckle_is_the_frame_stretched_to_its_maximum(fitted):
    split = Pairs("val", torch.tensor([[[0, 50], [100, 200]]], dtype=torch.uint8), torch.zeros(1, 2, 2), torch.zeros(1))
    raw = fitted[1]["raw speckle"](split)
    torch.testing.assert_close(raw, torch.tensor([[[[0, 0.25], [0.5, 1.0]]]]))


def test_mean_image_is_that_of_the_training_set(fitted):
    train, methods = fitted
    pred = methods["mean image"](pairs(3, name="val"))
    torch.testing.assert_close(pred, (train.target.float() / 255).mean(0).expand(3, 1, -1, -1))


def test_nearest_neighbour_and_ridge_are_fitted_on_prepared_training_speckles(fitted):
    train, methods = fitted
    brighter = Pairs("val", train.speckle.float() * 1000, train.target, train.diffuser)
    assert torch.equal(methods["nearest neighbour"](brighter), train.images())
    torch.testing.assert_close(methods["linear ridge"](brighter), methods["linear ridge"](train), rtol=0, atol=1e-4)
    ridge = LinearRidge(Preparation()(train.speckle).flatten(1), train.images())
    torch.testing.assert_close(methods["linear ridge"](train), ridge(Preparation()(train.speckle).flatten(1)))


def test_best_blur_uses_the_width_that_fits_the_training_set():
    speckle = torch.randint(0, 256, (6, 48, 48), dtype=torch.uint8)
    blurred = gaussian_filter(speckle.double().numpy() / 255, 4, mode="nearest", axes=(1, 2))
    train = Pairs("train", speckle, torch.from_numpy(blurred).float(), torch.zeros(6))
    assert pcc(fit_baselines(train, Preparation())["best blur"](train), train.images()).min() > 0.999


def test_of_many_pairs_the_first_serve(monkeypatch, caplog):
    monkeypatch.setattr(baselines, "MOST_TRAINING_PAIRS", 10)
    train = pairs(12)
    with caplog.at_level(logging.INFO):
        methods = fit_baselines(train, Preparation())
    assert "first 10 of 12 training pairs" in caplog.text
    torch.testing.assert_close(methods["mean image"](pairs(1)), train.images(0, 10).mean(0, keepdim=True))
    assert torch.equal(methods["nearest neighbour"](train)[:10], train.images(0, 10))
    known = {image.numpy().tobytes() for image in train.images(0, 10)}
    assert all(image.numpy().tobytes() in known for image in methods["nearest neighbour"](train))
