"""Images on other grids."""

import pytest
import torch

from spt.optics.resampling import area_resampled, resized


def test_whole_pixels_are_block_means():
    image = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    expected = image.unflatten(1, (3, 2)).unflatten(3, (4, 2)).mean((2, 4))
    torch.testing.assert_close(area_resampled(image, 2, 3, 4), expected)


def test_a_fraction_of_a_sample_is_weighted_by_its_area():
    line = torch.tensor([[1.0, 2.0, 4.0]])
    # Pixels of 1.5: (1 + 2 / 2) / 1.5 and (2 / 2 + 4) / 1.5; the row is a pixel of one.
    image = line.expand(3, 3)
    assert area_resampled(image, 1.5, 2, 2)[0].tolist() == pytest.approx([2 / 1.5, 5 / 1.5])


def test_small_pixels_repeat_the_sample():
    assert area_resampled(torch.tensor([[1.0, 3.0], [5.0, 7.0]]), 0.5, 4, 4)[0].tolist() == [1, 1, 3, 3]


def test_light_is_kept():
    image = torch.rand(1, 35, 35, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    small = area_resampled(image, 2.5, 14, 14)
    assert small.sum().item() * 2.5**2 == pytest.approx(image.sum().item())


@pytest.mark.parametrize("size", [7, 16, 16 * 3])
def test_resized_images_keep_flatness_and_sign(size):
    assert torch.allclose(resized(torch.full((1, 16, 16), 0.3), size), torch.tensor(0.3))
    image = (torch.rand(2, 16, 16, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    assert resized(image, size).shape == (2, size, size)
    assert resized(image, size).min() >= 0
    assert resized(image, size).max() <= 1 + 1e-6


def test_the_same_size_is_the_same_image():
    image = torch.rand(1, 9, 9)
    assert resized(image, 9) is image


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(7, 5), (40, 48)])
def test_on_a_gpu_the_gradient_is_deterministic_and_that_of_the_cpu(size, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        images = torch.rand(3, 2, 20, 24, requires_grad=True)
        on_gpu = images.detach().cuda().requires_grad_()
        for image in (images, on_gpu):
            resized(image, size).square().sum().backward()
        assert torch.allclose(on_gpu.grad.cpu(), images.grad, atol=1e-5)
    finally:
        torch.use_deterministic_algorithms(False)
