"""Laws that hold for any pair of images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spt.metrics import METRICS, calibration_error, dice, ji, per_image, precision, recall, reliability

BOUNDS = dict.fromkeys(METRICS, (0, 1)) | {"pcc": (-1, 1), "ssim": (-1, 1), "psnr": (0, 100)}
SYMMETRIC = [name for name in METRICS if name not in ("precision", "recall")]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of any brightness, sparse, full, constant or empty; grey or binary."""
    size = draw(st.tuples(st.integers(1, 4), st.integers(11, 16), st.integers(11, 16)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def images() -> torch.Tensor:
        image = torch.rand(size[0], 1, *size[1:], generator=generator)
        kind = draw(st.sampled_from(["grey", "binary", "sparse", "constant", "empty", "full"]))
        return {
            "grey": image,
            "binary": image.round(),
            "sparse": (image > 0.97).float(),
            "constant": image[..., :1, :1].expand_as(image).clone(),
            "empty": torch.zeros_like(image),
            "full": torch.ones_like(image),
        }[kind]

    return images(), images()


laws = settings(max_examples=25, deadline=None, database=None)


@laws
@given(pairs())
def test_bounds(images):
    for name, values in per_image(*images).items():
        low, high = BOUNDS[name]
        assert ((values >= low - 1e-6) & (values <= high + 1e-6)).all(), (name, values)


@laws
@given(pairs())
def test_symmetry(images):
    pred, target = images
    for name in SYMMETRIC:
        torch.testing.assert_close(METRICS[name](pred, target), METRICS[name](target, pred), msg=name)
    assert torch.equal(precision(pred, target), recall(target, pred))


@laws
@given(pairs())
def test_dice_of_ji_and_of_precision_and_recall(images):
    overlap, other = ji(*images), dice(*images)
    assert (overlap <= other).all()
    torch.testing.assert_close(other, 2 * overlap / (1 + overlap))
    p, r = precision(*images), recall(*images)
    torch.testing.assert_close(other, 2 * p * r / (p + r).clamp(min=1e-12))


@laws
@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_batch_does_not_matter(images, random):
    order = list(range(len(images[0])))
    random.shuffle(order)
    shuffled = [image[order] for image in images]
    for name, values in per_image(*images).items():
        torch.testing.assert_close(METRICS[name](*shuffled).float(), values[order], msg=name)
    assert torch.equal(reliability(*shuffled), reliability(*images)[order])


@laws
@given(pairs(), st.integers(1, 20))
def test_calibration(images, bins):
    """The error lies in [0, 1]; one bin sees the mean brightness alone, and more bins never see less than it."""
    pred, target = images
    one, many = (calibration_error(reliability(pred, target, n)) for n in (1, bins))
    torch.testing.assert_close(one, (pred.double() - (target >= 0.5).double()).mean((1, 2, 3)).abs())
    assert ((one <= many + 1e-9) & (many <= 1 + 1e-9)).all()


@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_perfect_image_is_the_best_there_is(name):
    image = torch.rand(3, 1, 12, 13)
    best = BOUNDS[name][0 if name in ("mse", "mae") else 1]
    assert METRICS[name](image, image).tolist() == pytest.approx([best] * 3, abs=1e-6)
