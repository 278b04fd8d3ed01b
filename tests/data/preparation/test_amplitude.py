import pytest
import torch

from spt.data.preparation import Amplitude, Correction


def test_literal():
    # Amplitudes 0 1 2 3: mean 3/2, variance (9 + 1 + 1 + 9) / 4 / 3 = 5/3.
    speckle = torch.tensor([[[0, 1], [4, 9]]], dtype=torch.uint8)
    expected = torch.tensor([[[-1.5, -0.5], [0.5, 1.5]]]) / (5 / 3) ** 0.5
    torch.testing.assert_close(Amplitude()(speckle), expected)


@pytest.mark.parametrize(
    ("transform", "scale", "expected"),
    [
        ("sqrt", "none", [[0.0, 1.0], [2.0, 3.0]]),
        ("none", "none", [[0.0, 1.0], [4.0, 9.0]]),
        ("none", "maximum", [[0.0, 1 / 9], [4 / 9, 1.0]]),
        (
            "none",
            "standardize",
            [[-3.5 / 16.333333**0.5, -2.5 / 16.333333**0.5], [0.5 / 16.333333**0.5, 5.5 / 16.333333**0.5]],
        ),
    ],
)
def test_each_step_alone(transform, scale, expected):
    # Intensities 0 1 4 9: mean 7/2, variance (49 + 25 + 1 + 121) / 4 / 3 = 16.33.
    speckle = torch.tensor([[[0.0, 1.0], [4.0, 9.0]]])
    torch.testing.assert_close(Amplitude(transform, scale)(speckle), torch.tensor([expected]))


def test_every_frame_is_standardised_on_its_own():
    speckle = torch.rand(3, 1, 9, 14) * torch.tensor([1.0, 50.0, 9000.0]).view(3, 1, 1, 1)
    prepared = Amplitude()(speckle)
    assert prepared.dtype == torch.float32
    torch.testing.assert_close(prepared.mean((-2, -1)), torch.zeros(3, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(prepared.std((-2, -1)), torch.ones(3, 1))
    for one, whole in zip(speckle, prepared, strict=True):
        torch.testing.assert_close(Amplitude()(one), whole)


@pytest.mark.parametrize("transform", ["sqrt", "none"])
@pytest.mark.parametrize("scale", [1e-14, 1e-6, 255.0, 1e9])
def test_units_of_the_camera_do_not_matter(transform, scale):
    speckle = torch.rand(2, 1, 31, 32)
    prepare = Amplitude(transform)
    torch.testing.assert_close(prepare(speckle * scale), prepare(speckle), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("transform", ["sqrt", "none"])
@pytest.mark.parametrize("side", [28, 64, 101])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, 255.0, 12345.67, 65535.0])
def test_a_constant_frame_becomes_zeros(transform, side, value):
    """Its mean is off by rounding, and 1e-7 of a bright level divided by a tiny spread would be anything."""
    speckle = torch.full((2, 1, side, side), value)
    speckle[1] *= torch.rand(side, side)
    prepared = Amplitude(transform)(speckle)
    assert (prepared[0] == 0).all()
    if value:
        assert prepared[1].std().item() == pytest.approx(1, abs=1e-4)


def test_one_grey_level_in_one_pixel_is_contrast():
    speckle = torch.full((1, 256, 256), 255, dtype=torch.uint8)
    speckle[0, 5, 7] = 254
    prepared = Amplitude()(speckle)
    assert prepared.std().item() == pytest.approx(1, abs=1e-3)
    assert prepared[0, 5, 7].item() == pytest.approx(-255.998, abs=0.1)  # one of n px: -(n - 1) / sqrt(n)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("rest", [2.0, None])
def test_bad_values_are_not_hidden(value, rest):
    """Collate refuses what is not finite, so preparation must hand it on, constant frame or not."""
    speckle = torch.rand(2, 1, 8, 8) if rest is None else torch.full((2, 1, 8, 8), rest)
    speckle[1, 0, 3, 3] = value
    prepared = Amplitude()(speckle)
    assert prepared[0].isfinite().all()
    assert not prepared[1].isfinite().all()


def test_the_input_is_left_alone():
    speckle = torch.rand(1, 8, 8)
    before = speckle.clone()
    Amplitude()(speckle)
    Amplitude("none")(speckle)
    assert torch.equal(speckle, before)


def test_unknown_transform():
    with pytest.raises(ValueError, match=r"transform must be one of \('sqrt', 'log', 'none'\), got 'cube'"):
        Amplitude("cube")


def test_unknown_scale():
    with pytest.raises(ValueError, match=r"scale must be one of .*'maximum', 'set', 'none'\), got 'minmax'"):
        Amplitude("none", "minmax")


def test_every_frame_is_divided_by_its_own_maximum():
    speckle = torch.rand(3, 1, 9, 14) * torch.tensor([1.0, 50.0, 9000.0]).view(3, 1, 1, 1)
    assert torch.equal(Amplitude("none", "maximum")(speckle).amax((-2, -1)), torch.ones(3, 1))
    assert torch.equal(Amplitude("none", "maximum")(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))


def test_negative_frames_are_said_to_be_negative_where_the_set_decides_the_scale():
    frames = torch.rand(5, 8, 8)
    frames[2, 0, 0] = -1
    with pytest.raises(ValueError, match=r"train pair 2: 1\.56% of the pixels are negative.*background=0 sets neg"):
        Amplitude("sqrt", scale="set").fit(frames, (8, 8))


def test_a_background_above_all_frames_is_refused_and_one_above_some_is_not():
    frames = torch.arange(1, 6)[:, None, None].expand(5, 8, 8).to(torch.uint16)
    Amplitude(correction=Correction(background=4)).fit(frames, (8, 8))
    with pytest.raises(ValueError, match=r"background=5 leaves no light.*brightest pixel is 5\. Set a lower"):
        Amplitude(correction=Correction(background=5)).fit(frames, (8, 8))
