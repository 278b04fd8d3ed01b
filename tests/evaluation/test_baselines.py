import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from spt.data.pairs import Pairs
from spt.data.preparation import Amplitude
from spt.evaluation import baselines
from spt.evaluation.baselines import (
    BASELINES,
    BLUR_SIGMAS,
    BestBlur,
    MeanImage,
    NearestNeighbour,
    RawSpeckle,
    best_blur,
    gaussian_blur,
)

PLAIN = Amplitude("none", scale="none")


def pairs(n=12, h=16, w=13, speckle=None):
    target = torch.randint(0, 2, (n, h, w), dtype=torch.uint8) * 255
    speckle = torch.randint(0, 256, (n, h, w), dtype=torch.uint8) if speckle is None else speckle
    return Pairs("train", speckle, target, torch.zeros(n, dtype=torch.long))


def images(baseline, split):
    return torch.cat(list(baseline(split)))


def test_every_baseline_gives_images_block_by_block(monkeypatch):
    assert list(BASELINES) == ["raw speckle", "best blur", "mean image", "nearest neighbour", "linear ridge"]
    monkeypatch.setattr(baselines, "PIXELS", 2 * 16 * 13)
    train, split = pairs(), pairs(5)
    for name, fit in BASELINES.items():
        pred = images(fit(train, Amplitude()), split)
        assert pred.shape == (5, 1, 16, 13), name
        assert pred.dtype == torch.float32
        assert ((pred >= 0) & (pred <= 1)).all(), name


def test_raw_speckle_is_the_frame_stretched_to_its_maximum():
    frame = torch.tensor([[[0, 50], [100, 200]]], dtype=torch.uint8)
    raw = images(RawSpeckle(pairs(), PLAIN), pairs(1, 2, 2, frame))
    torch.testing.assert_close(raw, torch.tensor([[[[0, 0.25], [0.5, 1.0]]]]))


def test_mean_image_is_that_of_the_training_set():
    train = pairs()
    pred = images(MeanImage(train, PLAIN), pairs(3))
    torch.testing.assert_close(pred, (train.target.float() / 255).mean(0).expand(3, 1, -1, -1))


def test_nearest_neighbour_of_a_training_speckle_is_its_own_target():
    train = pairs(20)
    nearest = NearestNeighbour(train, Amplitude())
    order = [3, 3, 19, *range(20)]
    noisy = train.speckle[order].float() + 10 * torch.rand(23, 16, 13)
    assert torch.equal(images(nearest, pairs(23, speckle=noisy)), train.images()[order])


def test_nearest_neighbour_is_blind_to_scale_and_offset():
    train = pairs(20, speckle=torch.rand(20, 16, 13) * torch.linspace(0.1, 100, 20)[:, None, None] + 3)
    new = train.speckle * torch.linspace(30, 0.2, 20)[:, None, None] - 7
    assert torch.equal(images(NearestNeighbour(train, PLAIN), pairs(20, speckle=new)), train.images())


def test_nearest_neighbour_means_correlation_and_not_its_size():
    """The negative of a frame correlates by -1: it is the farthest, not the nearest."""
    train = pairs(2, speckle=torch.rand(2, 16, 13))
    pred = images(NearestNeighbour(train, PLAIN), pairs(1, speckle=-train.speckle[:1]))
    assert torch.equal(pred, train.images(1, 2))


def test_nearest_neighbour_of_a_frame_with_nan_is_nan():
    frames = torch.rand(2, 16, 13)
    frames[1, 0, 0] = torch.nan
    pred = images(NearestNeighbour(pairs(), PLAIN), pairs(2, speckle=frames))
    assert pred[0].isfinite().all()
    assert pred[1].isnan().all()


# Blur ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.0, 6.0])
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


@pytest.mark.parametrize("sigma", BLUR_SIGMAS)
def test_best_blur_finds_the_width(sigma):
    speckle = torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8)
    blurred = gaussian_filter(speckle.double().numpy(), sigma, mode="nearest", axes=(1, 2))
    target = torch.from_numpy(blurred / 255).float()
    assert best_blur(speckle[:, None] / 255, target[:, None]) == sigma
    assert BestBlur(Pairs("train", speckle, target, torch.zeros(4, dtype=torch.long)), PLAIN).sigma == sigma
