"""Where torchmetrics gives another number for the same images, and why ours is kept; docs/losses.md lists them."""

import pytest
import torch
from torchmetrics.functional import pearson_corrcoef
from torchmetrics.functional.classification import (
    binary_f1_score,
    binary_jaccard_index,
    binary_precision,
    binary_recall,
    multiclass_accuracy,
)
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from spt.metrics import dice, ji, pcc, precision, psnr, recall, ssim, top_k_accuracy


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth targets that are as bright at the border as inside, and noisy predictions."""
    generator = torch.Generator().manual_seed(0)
    target = torch.nn.functional.avg_pool2d(torch.rand(4, 1, 56, 72, generator=generator), 9, 1)
    target = (target - target.amin((2, 3), True)) / (target.amax((2, 3), True) - target.amin((2, 3), True))
    noise = torch.randn(target.shape, generator=generator) * torch.linspace(0.02, 0.3, 4).view(4, 1, 1, 1)
    return (target + noise).clamp(0, 1), target


def test_psnr_is_pooled_there(images):
    """Ours weighs every image alike; the pooled MSE belongs to the worst image and depends on the batch."""
    theirs = peak_signal_noise_ratio(*images, data_range=1.0).item()
    pooled = -10 * (images[0] - images[1]).square().mean().log10().item()
    assert theirs == pytest.approx(pooled, abs=1e-4)
    assert psnr(*images).mean().item() > theirs + 2


def test_psnr_of_a_perfect_image_is_infinite_there(images):
    """One perfect image would make the mean of a split infinite; ours is capped at 100 dB."""
    assert peak_signal_noise_ratio(images[1], images[1], data_range=1.0).isinf()
    assert psnr(images[1], images[1]).tolist() == [100] * 4


def test_ji_is_pooled_there():
    """Ours sees the small object that was missed: (1 + 0) / 2; pooled, the large one hides it: 128 of 132."""
    pred, target = torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)
    pred[0, 0, :8], target[0, 0, :8] = 1, 1
    pred[1, 0, 1, :2], target[1, 0, 0, :2] = 1, 1
    assert binary_jaccard_index(pred, target.int()).item() == pytest.approx(128 / 132)
    assert ji(pred, target).mean().item() == 0.5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ji, binary_jaccard_index),
        (dice, binary_f1_score),
        (precision, binary_precision),
        (recall, binary_recall),
    ],
)
def test_two_empty_images_give_0_there(ours, theirs):
    """An empty object reconstructed as empty is perfect, not the worst there is."""
    empty = torch.zeros(1, 1, 8, 8)
    assert theirs(empty, empty.int()).item() == 0
    assert ours(empty, empty).item() == 1


@pytest.mark.filterwarnings("ignore:The variance of predictions or target")
def test_pcc_of_a_constant_image_is_nan_there():
    """One dark target would make the mean of a split NaN; ours is 0: it explains nothing of the other image."""
    dark, other = torch.zeros(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    assert pearson_corrcoef(dark.flatten(), other.flatten()).isnan()
    assert pcc(dark, other).item() == pcc(other, dark).item() == 0


def test_pcc_is_pooled_there(images):
    """Ours asks of each image whether its structure is right; pooled, differences in mean brightness count as well."""
    target = images[1]
    brighter = target * torch.tensor([0.2, 0.4, 0.7, 1.0]).view(4, 1, 1, 1)
    assert pcc(target, brighter).tolist() == pytest.approx([1] * 4, abs=1e-9)
    assert pearson_corrcoef(target.flatten(), brighter.flatten()).item() < 0.8


def test_ssim_without_a_data_range_takes_it_from_the_images_there(images):
    """Half the contrast is the same number there, as if the camera did not matter; our range is always 1."""
    half = [image / 2 for image in images]
    full = structural_similarity_index_measure(*images)
    assert structural_similarity_index_measure(*half).item() == pytest.approx(full.item(), abs=1e-5)
    assert ssim(*half).mean().item() > ssim(*images).mean().item() + 0.01


def test_ssim_pads_the_border_by_reflection_there(images):
    """Ours averages where the window fits, as scikit-image; mirrored pixels were never reconstructed."""
    theirs, full = structural_similarity_index_measure(
        *images, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = full[..., 5:-5, 5:-5].mean((1, 2, 3))
    torch.testing.assert_close(inside, ssim(*images), atol=1e-5, rtol=0)
    assert (theirs - ssim(*images)).abs().max() > 1e-3


def test_more_levels_named_are_fewer_right_there_where_logits_are_equal():
    """Ours ranks equal logits by level whatever k is: naming one more level never makes a pixel wrong."""
    logits, level = torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)
    theirs = [multiclass_accuracy(logits, level, 4, top_k=k, average="micro").item() for k in (1, 2)]
    assert theirs[1] < theirs[0]
    assert [top_k_accuracy(logits, level, k).item() for k in (1, 2, 3)] == [1, 1, 1]
