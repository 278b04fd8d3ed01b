import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from scipy.stats import pearsonr
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional import pearson_corrcoef
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

import spt.metrics.image
from spt.metrics import METRICS, filter_gaussian, mae, mse, pcc, per_image, psnr, ssim, ssim_map

NAMES = ["pcc", "ssim", "ji", "psnr", "dice", "mse", "mae", "accuracy", "precision", "recall"]
"""Logged, written and compared under these names: changing one breaks the runs that exist."""


def image(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels).view(1, 1, 2, -1)


def pair(size: tuple[int, int] = (48, 64), n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth targets, and predictions of growing noise, so that the images differ in every metric."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(n, 1, *size, generator=generator)
    target = torch.nn.functional.avg_pool2d(target, 5, 1, 2)
    target = (target - target.amin((2, 3), True)) / (target.amax((2, 3), True) - target.amin((2, 3), True))
    noise = torch.randn(n, 1, *size, generator=generator) * torch.linspace(0.02, 0.4, n).view(n, 1, 1, 1)
    return (target + noise).clamp(0, 1), target


def test_pcc_by_hand():
    # Centred: 1/4, 1/4, -1/4, -1/4 and 3/4, -1/4, -1/4, -1/4.
    r = pcc(image(0.75, 0.75, 0.25, 0.25), image(1.0, 0.0, 0.0, 0.0))
    assert r.item() == pytest.approx(1 / math.sqrt(3), abs=1e-9)


def test_pcc_equals_numpy_scipy_and_torchmetrics():
    pred, target = pair()
    reference = [pearsonr(p.ravel(), t.ravel())[0] for p, t in zip(pred.numpy(), target.numpy(), strict=True)]
    np.testing.assert_allclose(pcc(pred, target), reference, atol=1e-6)
    reference = [np.corrcoef(p.ravel(), t.ravel())[0, 1] for p, t in zip(pred.numpy(), target.numpy(), strict=True)]
    np.testing.assert_allclose(pcc(pred, target), reference, atol=1e-6)
    reference = [pearson_corrcoef(p.flatten(), t.flatten()) for p, t in zip(pred, target, strict=True)]
    np.testing.assert_allclose(pcc(pred, target), reference, atol=1e-5)


@pytest.mark.parametrize("size", [(200, 200), (17, 23)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pcc_of_a_constant_image_is_zero(size, dtype):
    for level in (0.0, 0.1, 0.7, 1.0):
        constant, other = torch.full((1, 1, *size), level, dtype=dtype), torch.rand(1, 1, *size, dtype=dtype)
        assert pcc(constant, other).item() == pcc(other, constant).item() == pcc(constant, constant).item() == 0


@pytest.mark.parametrize("name", METRICS)
def test_an_image_with_nan_has_the_metric_nan_and_the_others_keep_theirs(name):
    pred, target = pair(n=3)
    expected = METRICS[name](pred, target)
    for place in (0, 1):
        images = [pred.clone(), target.clone()]
        images[place][1, 0, 20, 20] = float("nan")
        values = METRICS[name](*images)
        assert values[1].isnan(), place
        assert torch.equal(values[::2], expected[::2]), place


def test_psnr_by_hand():
    # MSE (0.04 + 0 + 0 + 0) / 4 = 0.01.
    assert psnr(image(0.2, 0.0, 1.0, 0.5), image(0.0, 0.0, 1.0, 0.5)).item() == pytest.approx(20, abs=1e-5)
    assert psnr(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)).item() == 0


def test_psnr_equals_scikit_image_and_torchmetrics():
    pred, target = pair()
    reference = [peak_signal_noise_ratio(t, p, data_range=1) for p, t in zip(pred.numpy(), target.numpy(), strict=True)]
    np.testing.assert_allclose(psnr(pred, target), reference, atol=1e-5)
    reference = [torchmetrics_psnr(p, t, data_range=1.0) for p, t in zip(pred, target, strict=True)]
    np.testing.assert_allclose(psnr(pred, target), reference, atol=1e-4)


def test_mse_and_mae_by_hand():
    pred, target = image(0.2, 0.0, 1.0, 0.5), image(0.0, 0.4, 1.0, 0.5)
    assert mse(pred, target).item() == pytest.approx((0.04 + 0.16) / 4, abs=1e-7)
    assert mae(pred, target).item() == pytest.approx((0.2 + 0.4) / 4, abs=1e-7)


def test_mse_and_mae_equal_scikit_image_and_numpy():
    pred, target = pair()
    both = list(zip(pred.numpy(), target.numpy(), strict=True))
    np.testing.assert_allclose(mse(pred, target), [mean_squared_error(t, p) for p, t in both], rtol=1e-6)
    np.testing.assert_allclose(mae(pred, target), [np.abs(p - t).mean() for p, t in both], rtol=1e-5)


@pytest.mark.parametrize("size", [(48, 64), (11, 11), (64, 33)])
def test_ssim_equals_scikit_image(size):
    pred, target = pair(size)
    reference = [
        structural_similarity(p[0], t[0], gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1)
        for p, t in zip(pred.double().numpy(), target.double().numpy(), strict=True)
    ]
    np.testing.assert_allclose(ssim(pred, target), reference, atol=1e-5)


def test_ssim_of_constant_images_is_the_luminance_term():
    # No structure: (2 a b + c1) / (a^2 + b^2 + c1) with c1 = 1e-4.
    a, b = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    assert ssim(a, b).item() == pytest.approx(0.2401 / 0.4001, abs=1e-6)


def test_ssim_of_a_perfect_image_is_one_and_order_does_not_matter():
    pred, target = pair()
    assert ssim(pred, pred).tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(ssim(pred, target), ssim(target, pred))


def test_the_ssim_map_keeps_the_dtype_and_has_the_ssim_as_its_mean():
    pred, target = pair((64, 33), n=4)
    assert ssim_map(pred, target).dtype == torch.float32
    full = ssim_map(pred.double(), target.double())
    assert full.shape == (4, 1, 54, 23)
    torch.testing.assert_close(full.mean((1, 2, 3)).float(), ssim(pred, target))


@pytest.mark.parametrize(("sigma", "radius"), [(1.5, 5), (3.0, 9), (1.0, 0)])
def test_the_gaussian_equals_scipy_where_the_window_fits(sigma, radius):
    images = torch.rand(2, 3, 24, 31, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at = np.arange(-radius, radius + 1)
    window = np.exp(-(at**2) / (2 * sigma**2))
    window = np.outer(window, window) / window.sum() ** 2
    reference = [[correlate(channel, window, mode="valid") for channel in image] for image in images.numpy()]
    np.testing.assert_allclose(filter_gaussian(images, sigma, radius), reference, atol=1e-12)


def test_the_gaussian_has_the_gradient_of_its_transpose():
    x = torch.rand(1, 1, 12, 13, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image: filter_gaussian(image, 1.5, 3), x)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"at least 11x11 px, got \(10, 40\)"):
        ssim(torch.zeros(1, 1, 10, 40), torch.zeros(1, 1, 10, 40))


@pytest.mark.parametrize("name", METRICS)
def test_an_image_does_not_depend_on_its_batch(name):
    pred, target = pair()
    together = METRICS[name](pred, target)
    assert together.shape == (4,)
    assert len(set(together.tolist())) == 4
    alone = torch.cat([METRICS[name](pred[i : i + 1], target[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.usefixtures("own_checks")
def test_shapes_that_differ_are_refused(name):
    for shape in ((2, 16, 16), (1, 1, 16, 16), (2, 2, 16, 16)):
        with pytest.raises(ValueError, match=r"pred and target differ in shape: \(2, 1, 16, 16\) and"):
            METRICS[name](torch.zeros(2, 1, 16, 16), torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_per_image_is_finite_on_constant_images(dtype):
    for fill in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.0), (0.0, 1.0)):
        pred, target = (torch.full((1, 1, 16, 16), f, dtype=dtype) for f in fill)
        values = per_image(pred, target)
        assert list(values) == NAMES
        assert all(v.dtype == torch.float32 and v.isfinite().all() for v in values.values()), fill


@pytest.mark.parametrize("pixels", [1, 3 * 48 * 64, 10**9])
def test_how_many_images_are_computed_at_once_does_not_show(monkeypatch, pixels):
    pred, target = pair(n=8)
    expected = {name: metric(pred, target).float() for name, metric in METRICS.items()}
    monkeypatch.setattr(spt.metrics.image, "PIXELS_AT_ONCE", pixels)
    for name, values in per_image(pred, target).items():
        torch.testing.assert_close(values, expected[name], msg=name)


def test_per_image_in_half_precision_equals_float32():
    # 65,536 squares of small numbers: sums in float16 overflow or vanish.
    pred, target = (x.half() for x in pair((256, 256), n=2))
    for half, full in zip(
        per_image(pred, target).values(), per_image(pred.float(), target.float()).values(), strict=True
    ):
        torch.testing.assert_close(half, full)
